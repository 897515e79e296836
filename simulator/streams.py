"""Who issues next: the streams of a closed loop, in a heap by time (rule R2), and the ends of their requests."""

from simulator.arrays import Ints
from simulator.compiled import internal
from simulator.machine import (
    N_READY,
    READY,
    S_END,
    S_INSIDE,
    S_OUTSTANDING,
    STREAM_FIELDS,
    STREAMS,
    THINK,
)


@internal
def stream_at(m: Ints, stream: int) -> int:
    """Where a stream's row is."""
    return int(m[STREAMS] + stream * STREAM_FIELDS)


@internal
def next_time(m: Ints) -> int:
    """When the first stream that is ready may issue."""
    return int(m[m[READY]])


@internal
def next_stream(m: Ints) -> int:
    """Which one that is: of those ready at the same time the one with the smallest number."""
    return int(m[m[READY] + 1])


@internal
def _is_before(m: Ints, a: int, b: int) -> bool:
    return bool(m[a] < m[b] or (m[a] == m[b] and m[a + 1] < m[b + 1]))


@internal
def _rise(m: Ints, at: int, time: int, s: int) -> None:
    """Put a stream into the hole at ``at``, or above it."""
    ready = m[READY]
    while at > 0:
        parent = (at - 1) >> 1
        entry = ready + 2 * parent
        if not (time < m[entry] or (time == m[entry] and s < m[entry + 1])):
            break
        m[ready + 2 * at], m[ready + 2 * at + 1] = m[entry], m[entry + 1]
        at = parent
    m[ready + 2 * at], m[ready + 2 * at + 1] = time, s


@internal
def _settle(m: Ints, time: int, s: int) -> None:
    """Put a stream in place of the first.

    It is mostly one of the last: the hole sinks to the bottom at one comparison a level, and the stream rises from it.
    """
    ready, n = m[READY], m[N_READY]
    at = 0
    child = 1
    while child < n:
        entry = ready + 2 * child
        if child + 1 < n and _is_before(m, entry + 2, entry):
            child += 1
            entry += 2
        m[ready + 2 * at], m[ready + 2 * at + 1] = m[entry], m[entry + 1]
        at = child
        child = 2 * at + 1
    _rise(m, at, time, s)


@internal
def push(m: Ints, s: int, time: int) -> None:
    """A stream is ready for its next request from a time on."""
    m[N_READY] += 1
    _rise(m, m[N_READY] - 1, time, s)


@internal
def pop(m: Ints) -> None:
    """The first stream waits, or has ended."""
    m[N_READY] -= 1
    last = m[READY] + 2 * m[N_READY]
    if m[N_READY] > 0:
        _settle(m, m[last], m[last + 1])


@internal
def complete(m: Ints, stream: int, end: int) -> None:
    """An access that waited ends at ``end``; its stream goes on if it was the last of its request."""
    row = stream_at(m, stream)
    m[row + S_END] = max(m[row + S_END], end)
    m[row + S_OUTSTANDING] -= 1
    if m[row + S_OUTSTANDING] == 0 and not m[row + S_INSIDE]:
        push(m, stream, m[row + S_END] + m[THINK])


@internal
def end_request(m: Ints, row: int) -> None:
    """All accesses of the first stream's request are issued: it waits for those outstanding or is ready again."""
    m[row + S_INSIDE] = 0
    if m[row + S_OUTSTANDING] > 0:
        pop(m)
    else:
        _settle(m, m[row + S_END] + m[THINK], next_stream(m))
