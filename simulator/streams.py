"""Who issues next: the streams of a closed loop, in a heap by time (rule R2), and the ends of their requests."""

from simulator.arrays import Ints
from simulator.compiled import internal
from simulator.machine import (
    N_READY,
    READY,
    S_END,
    S_INSIDE,
    S_OUTSTANDING,
    S_TIME,
    STREAM_FIELDS,
    STREAMS,
    THINK,
)


@internal
def stream_at(m: Ints, stream: int) -> int:
    """Where a stream's row is."""
    return int(m[STREAMS] + stream * STREAM_FIELDS)


@internal
def _is_before(m: Ints, a: int, b: int) -> bool:
    time_a, time_b = m[stream_at(m, a) + S_TIME], m[stream_at(m, b) + S_TIME]
    return time_a < time_b or (time_a == time_b and a < b)


@internal
def sift_down(m: Ints) -> None:
    """Restore the heap after the first stream's time has grown."""
    ready, n = m[READY], m[N_READY]
    at, s = 0, m[ready]
    while True:
        child = 2 * at + 1
        if child >= n:
            break
        if child + 1 < n and _is_before(m, m[ready + child + 1], m[ready + child]):
            child += 1
        if not _is_before(m, m[ready + child], s):
            break
        m[ready + at] = m[ready + child]
        at = child
    m[ready + at] = s


@internal
def push(m: Ints, s: int) -> None:
    """A stream is ready for its next request."""
    ready, at = m[READY], m[N_READY]
    m[N_READY] += 1
    while at > 0:
        parent = (at - 1) // 2
        if not _is_before(m, s, m[ready + parent]):
            break
        m[ready + at] = m[ready + parent]
        at = parent
    m[ready + at] = s


@internal
def pop(m: Ints) -> None:
    """The first stream waits, or has ended."""
    m[N_READY] -= 1
    if m[N_READY] > 0:
        m[m[READY]] = m[m[READY] + m[N_READY]]
        sift_down(m)


@internal
def complete(m: Ints, stream: int, end: int) -> None:
    """An access that waited ends at ``end``; its stream goes on if it was the last of its request."""
    row = stream_at(m, stream)
    m[row + S_END] = max(m[row + S_END], end)
    m[row + S_OUTSTANDING] -= 1
    if m[row + S_OUTSTANDING] == 0 and not m[row + S_INSIDE]:
        m[row + S_TIME] = m[row + S_END] + m[THINK]
        push(m, stream)


@internal
def end_request(m: Ints, row: int) -> None:
    """All accesses of the first stream's request are issued: it waits for those outstanding or is ready again."""
    m[row + S_INSIDE] = 0
    if m[row + S_OUTSTANDING] > 0:
        pop(m)
    else:
        m[row + S_TIME] = m[row + S_END] + m[THINK]
        sift_down(m)
