"""Calls over links as the table ``transfers`` has them: a row for each block, and the channel that a call is on.

Nothing else tells channels apart: they are looked after where these rows are kept. Each of a link's ``channels`` has
the place of the first transfer of its call, or nothing.
"""

from simulator.arrays import NONE, At
from simulator.compiled import internal
from simulator.links import DEMAND, PREFETCH
from simulator.movement import WRITTEN
from simulator.policy import Cause
from simulator.records.moving import Link, Transfer, access_at, prefetch_at, transfer_at
from simulator.records.record import from_place
from simulator.records.rows import nth_transfer_row
from simulator.records.run import Run

MISS, OF_PREFETCH, RECOMPUTE, WRITE_BACK, DEMOTION = (int(cause) for cause in Cause)
_FREE = 0


@internal
def begin(run: Run, link: Link, first: Transfer, ns: int) -> None:
    """A call of so many ns begins now, on the first channel that is free: rows, once judging has begun (rule R38)."""
    channels, channel = from_place(run, link.channels), 0
    while channels[channel] != _FREE:
        channel += 1
    channels[channel] = first.at
    if run.judged_since_ns == NONE:
        return
    rows, place = run.rows.transfers, first.at
    while place != NONE:
        t = transfer_at(run, place)
        row = nth_transfer_row(run, rows.rows, rows.n)
        rows.n += 1
        row.call, row.link, row.channel, row.class_, row.priority = run.n_calls, t.link, channel, t.class_, t.priority
        row.access = row.prefetch = NONE
        if t.class_ == PREFETCH:
            row.cause = OF_PREFETCH
            row.prefetch = prefetch_at(run, t.late if t.prefetch == NONE else t.prefetch).number
        elif t.class_ == DEMAND:
            # Whoever started it waits for it before anybody else.
            row.cause, row.access = RECOMPUTE if t.is_again else MISS, access_at(run, t.waiters.first).index
        else:
            row.cause = WRITE_BACK if t.dirty == WRITTEN else DEMOTION
        row.key, row.is_down, row.size_bytes = t.key, t.is_down, t.size
        row.queued_ns, row.started_ns, row.ended_ns = t.queued_ns, run.now, run.now + ns
        place = t.mate
    run.n_calls += 1


@internal
def end(run: Run, link: Link, first: At[Transfer]) -> None:
    """The call of that transfer is over."""
    channels, channel = from_place(run, link.channels), 0
    while channels[channel] != first:
        channel += 1
    channels[channel] = _FREE
