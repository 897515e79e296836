"""Blocks on their way: fetches hop by hop, and who waits for them (R4, R6, R8, R41)."""

from simulator import flight
from simulator.arrays import NONE, At
from simulator.compiled import inlined, internal
from simulator.links import DEMAND, PREFETCH, is_busy, promote, read_ns, submit
from simulator.records import lists
from simulator.records.arena import Arena
from simulator.records.moving import Prefetch, Transfer, nth_link, take, transfer_at
from simulator.records.run import Run
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
def _blank(run: Run, key: int, size: int, class_: int, level: int) -> Transfer:
    t = transfer_at(run, take(run, run.pools.transfers))
    t.key, t.size, t.class_, t.priority = key, size, class_, class_
    t.level, t.source, t.is_down, t.dirty, t.is_obsolete, t.is_again = level, level, 0, CLEAN, 0, 0
    t.prefetch = t.late = NONE
    lists.clear(t.waiters)
    t.n_waiters = t.n_hops = 0
    return t


@internal
def new_transfer(run: Run, key: int, size: int, class_: int, level: int) -> Transfer:
    """A block starts from a level, as a transfer of that class; it is on no link yet."""
    t = _blank(run, key, size, class_, level)
    flight.enter(run, t)
    return t


@internal
def fetch(run: Run, key: int, size: int, class_: int, where: int, prefetch: At[Prefetch]) -> Transfer:
    """Start a block, which is neither in tier 0 nor in flight, on its way there from the nearest holder."""
    level = lowest_bit(where) if where != 0 else run.settings.origin
    t = new_transfer(run, key, size, class_, level)
    t.prefetch = prefetch
    if class_ == PREFETCH:
        run.n_prefetches += 1
        run.prefetch_bytes += size
    hop(run, t)
    return t


@internal
def compute(run: Run, arena: Arena, key: int, size: int, where: int) -> Transfer:
    """Start the computing of a block that lies behind a missing one: it takes the place of its copies (rule R41)."""
    dirty = CLEAN
    for level in range(run.settings.origin):
        if (where >> level) & 1:
            dirty = max(dirty, moves.remove(arena, level, key))
    t = new_transfer(run, key, size, DEMAND, run.settings.origin)
    t.dirty = dirty
    hop(run, t)
    return t


@internal
def compute_again(run: Run, key: int, size: int) -> Transfer:
    """Start the computing of a block that tier 0 has: it is of no use behind a missing one (rule R41)."""
    t = _blank(run, key, size, DEMAND, run.settings.origin)
    t.is_again = 1
    hop(run, t)
    return t


@internal
def _first_link(run: Run, level: int) -> int:
    """The link by which a block leaves a level upwards."""
    return level if run.settings.computes_in_place and level == run.settings.origin else level - 1


@inlined
def hop(run: Run, t: Transfer) -> None:
    """On to the next link of its way."""
    t.link = t.level if t.is_down else _first_link(run, t.level)
    submit(run, t)


@internal
def way_ns(run: Run, source: int, size: int) -> int:
    """A fetch from there that queues nowhere, in ns."""
    first, last = 0, source
    if run.settings.computes_in_place and source == run.settings.origin:
        first, last = source, source + 1
    ns = 0
    for i in range(first, last):
        ns += read_ns(run, nth_link(run, run.links, i), size, 1)
    return ns


@internal
def would_queue(run: Run, where: int) -> bool:
    """Whether a fetch from there would have to wait for a channel."""
    level = lowest_bit(where) if where != 0 else run.settings.origin
    return is_busy(nth_link(run, run.links, _first_link(run, level)))


@internal
def demand(run: Run, t: Transfer) -> None:
    """A demand waits for this transfer from now on."""
    if t.priority == PREFETCH:
        release(run, t)
    promote(run, t)


@internal
def release(run: Run, t: Transfer) -> None:
    """It does not count against the budget of prefetches any more."""
    run.n_prefetches -= 1
    run.prefetch_bytes -= t.size
