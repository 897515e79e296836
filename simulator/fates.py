"""Issued prefetches until their fate is known, and the telling of it (rules R12, R19)."""

from simulator.arrays import NONE
from simulator.compiled import compiled, internal
from simulator.distribution import count
from simulator.policy import Fate
from simulator.records import lists
from simulator.records.moving import AMONG_FATES, Prefetch, give_back, prefetch_at
from simulator.records.rows import nth_prefetch_row, nth_told_row
from simulator.records.run import Run, run_at
from simulator.tally import is_judged

NOTHING_SAVED = -(2**63)
TIMELY, LATE, EVICTED_UNUSED, CANCELLED, RESIDENT_UNUSED, IN_FLIGHT = (int(fate) for fate in Fate)


@internal
def begin(run: Run, p: Prefetch) -> None:
    """A prefetch was issued."""
    p.filled_ns = p.first_used_ns = p.first_used_access = p.evicted_ns = NONE
    lists.append(run, run.open_fates, p.at, AMONG_FATES)


@internal
def _tell(run: Run, p: Prefetch, fate: int) -> None:
    """News for the policy, delivered before its next question."""
    if run.settings.hears_fates:
        told = run.rows.told
        row = nth_told_row(run, told.rows, told.n)
        told.n += 1
        row.key, row.fate = p.key, fate


@internal
def _settle(run: Run, p: Prefetch, fate: int, saved_ns: int) -> None:
    """All is known: it is counted, and a finished row if one is kept."""
    if is_judged(run, p.access):
        books = run.books
        books.n_of_fate[fate] += 1
        if fate == TIMELY:
            count(run, books.slack, p.first_used_ns - p.filled_ns)
        if saved_ns != NOTHING_SAVED:
            count(run, books.saved, saved_ns)
        if run.kept.prefetches:
            _keep(run, p, fate, saved_ns)
    else:
        run.unjudged.n_of_fate[fate] += 1
    give_back(run, run.pools.prefetches, p)


@internal
def _keep(run: Run, p: Prefetch, fate: int, saved_ns: int) -> None:
    rows = run.rows.prefetches
    row = nth_prefetch_row(run, rows.rows, rows.n)
    rows.n += 1
    row.prefetch, row.inference, row.access, row.key, row.size_bytes = p.number, p.inference, p.access, p.key, p.size
    row.source_level, row.proposed_ns, row.filled_ns = p.source, p.proposed_ns, p.filled_ns
    row.first_used_ns, row.first_used_access = p.first_used_ns, p.first_used_access
    row.saved_ns, row.evicted_ns, row.fate, row.confidence = saved_ns, p.evicted_ns, fate, p.confidence
    row.expert = p.expert


@internal
def close(run: Run, p: Prefetch, fate: int) -> None:
    """An open prefetch has met its fate."""
    lists.remove(run, run.open_fates, p.at, AMONG_FATES)
    _tell(run, p, fate)
    _settle(run, p, fate, NOTHING_SAVED)


@internal
def fill(run: Run, p: Prefetch) -> None:
    """In tier 0 and still unused."""
    p.filled_ns = run.now


@internal
def use(run: Run, p: Prefetch, access: int) -> None:
    """First use of a prefetched block, on time."""
    p.first_used_ns, p.first_used_access = run.now, access
    close(run, p, TIMELY)


@internal
def meet(run: Run, p: Prefetch, access: int) -> None:
    """A demand finds the prefetch in flight: that is its fate, what it saved shows when it lands."""
    p.first_used_ns, p.first_used_access = run.now, access
    lists.remove(run, run.open_fates, p.at, AMONG_FATES)
    lists.append(run, run.late_fates, p.at, AMONG_FATES)
    _tell(run, p, LATE)


@internal
def land_late(run: Run, p: Prefetch, way_ns: int) -> None:
    """It has landed: so much earlier than a fetch that the demand had started, and that queued nowhere."""
    lists.remove(run, run.late_fates, p.at, AMONG_FATES)
    p.filled_ns = run.now
    _settle(run, p, LATE, p.first_used_ns + way_ns - run.now)


@internal
def evict(run: Run, p: Prefetch) -> None:
    """It leaves tier 0 before its first use."""
    p.evicted_ns = run.now
    close(run, p, EVICTED_UNUSED)


@compiled
def close_left(machine: int) -> bool:
    """Settle those left at the end of the run: the late ones, then the others; False if rows must be read first.

    ``machine`` is the address of the run's memory.
    """
    run = run_at(machine)
    while run.late_fates.first != NONE or run.open_fates.first != NONE:
        if run.rows.prefetches.n == run.rows.prefetches.capacity:
            return False
        if run.late_fates.first != NONE:
            p = prefetch_at(run, run.late_fates.first)
            lists.remove(run, run.late_fates, p.at, AMONG_FATES)
            _settle(run, p, LATE, NOTHING_SAVED)
        else:
            p = prefetch_at(run, run.open_fates.first)
            lists.remove(run, run.open_fates, p.at, AMONG_FATES)
            _settle(run, p, RESIDENT_UNUSED if p.filled_ns != NONE else IN_FLIGHT, NOTHING_SAVED)
    return True
