"""Blocks on their way: fetches hop by hop, and who waits for them (R4, R6, R8)."""

from simulator import flight
from simulator.arrays import NONE, Ints
from simulator.compiled import inlined, internal
from simulator.hops import call_ns
from simulator.links import (
    L_CALL,
    L_COMPUTE_CALL,
    L_PER_MIB,
    L_READ_LATENCY,
    L_READ_RATE,
    PREFETCH,
    is_busy,
    link_at,
    promote,
    submit,
)
from simulator.machine import (
    IN_PLACE,
    N_PREFETCHES,
    ORIGIN,
    PREFETCH_BYTES,
    T_CLASS,
    T_DIRTY,
    T_DOWN,
    T_KEY,
    T_LATE,
    T_LEVEL,
    T_LINK,
    T_N_HOPS,
    T_N_WAITERS,
    T_OBSOLETE,
    T_PREFETCH,
    T_PRIORITY,
    T_SIZE,
    T_SOURCE,
    T_WAITER,
    TRANSFERS,
    take,
)
from simulator.records.arena import Arena
from simulator.residency import moves

# Dirtiness: the content is nowhere else. What was computed can be computed again; what was written cannot.
CLEAN, COMPUTED, WRITTEN = range(3)


@internal
def lowest_bit(where: int) -> int:
    """The number of the lowest bit that is set: the nearest tier that holds a block."""
    level = 0
    while not (where >> level) & 1:
        level += 1
    return level


@internal
def new(m: Ints, key: int, size: int, class_: int, level: int) -> int:
    """A block starts from a level, as a transfer of that class; it is on no link yet."""
    t = take(m, TRANSFERS)
    m[t + T_KEY], m[t + T_SIZE], m[t + T_CLASS], m[t + T_PRIORITY] = key, size, class_, class_
    m[t + T_LEVEL], m[t + T_SOURCE], m[t + T_DOWN], m[t + T_DIRTY] = level, level, 0, 0
    m[t + T_PREFETCH] = m[t + T_LATE] = m[t + T_WAITER] = NONE
    m[t + T_OBSOLETE] = m[t + T_N_WAITERS] = m[t + T_N_HOPS] = 0
    flight.enter(m, t)
    return t


@internal
def fetch(a: Arena, m: Ints, key: int, size: int, class_: int, where: int, prefetch: int) -> int:
    """Start a block, which is neither in tier 0 nor in flight, on its way there from the nearest holder."""
    level = m[ORIGIN]
    if where != 0:
        level = lowest_bit(where)
        # A tier below is used when it is read from: that is what its eviction policy goes by.
        moves.use(a, level, key)
    t = new(m, key, size, class_, level)
    m[t + T_PREFETCH] = prefetch
    if class_ == PREFETCH:
        m[N_PREFETCHES] += 1
        m[PREFETCH_BYTES] += size
    hop(m, t)
    return t


@internal
def _first_link(m: Ints, level: int) -> int:
    """The link by which a block leaves a level upwards."""
    return level if m[IN_PLACE] and level == m[ORIGIN] else level - 1


@inlined
def hop(m: Ints, t: int) -> None:
    """On to the next link of its way."""
    m[t + T_LINK] = m[t + T_LEVEL] if m[t + T_DOWN] else _first_link(m, m[t + T_LEVEL])
    submit(m, t)


@internal
def way_ns(m: Ints, source: int, size: int) -> int:
    """A fetch from there that queues nowhere, in ns."""
    first, last = 0, source
    if m[IN_PLACE] and source == m[ORIGIN]:
        first, last = source, source + 1
    ns = 0
    for i in range(first, last):
        link = link_at(m, i)
        ns += call_ns(
            m[link + L_CALL], m[link + L_READ_LATENCY], m[link + L_READ_RATE], m[link + L_PER_MIB],
            m[link + L_COMPUTE_CALL], size,
        )  # fmt: skip
    return ns


@internal
def would_queue(m: Ints, where: int) -> bool:
    """Whether a fetch from there would have to wait for a channel."""
    return is_busy(m, _first_link(m, lowest_bit(where) if where != 0 else m[ORIGIN]))


@internal
def demanded(m: Ints, t: int) -> None:
    """A demand waits for this transfer from now on."""
    if m[t + T_PRIORITY] == PREFETCH:
        release(m, t)
    promote(m, t)


@internal
def release(m: Ints, t: int) -> None:
    """It does not count against the budget of prefetches any more."""
    m[N_PREFETCHES] -= 1
    m[PREFETCH_BYTES] -= m[t + T_SIZE]
