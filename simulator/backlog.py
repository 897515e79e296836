"""What a tier has to write down, and what waits to come into it while that is too much (rule R40).

Those who wait have numbers, their turns: transfers and writes that allocate stand in two lists, but in one line.
"""

from simulator.arrays import NONE
from simulator.compiled import inlined, internal
from simulator.events import MAY_COME_IN, schedule
from simulator.records import lists
from simulator.records.moving import (
    AMONG_WAITERS,
    IN_QUEUE,
    Access,
    Backlog,
    Transfer,
    access_at,
    nth_link,
    transfer_at,
)
from simulator.records.run import Run

NO_LIMIT = 2**62


@inlined
def backlog_of(run: Run, level: int) -> Backlog:
    """That of the tier at that level."""
    return nth_link(run, run.links, level).backlog


@internal
def add(run: Run, level: int, size: int) -> None:
    """A block is to be written down."""
    backlog = backlog_of(run, level)
    backlog.n_bytes += size
    backlog.n_blocks += 1
    backlog.most_bytes = max(backlog.most_bytes, backlog.n_bytes)


@internal
def leave(run: Run, level: int, size: int) -> None:
    """One is there."""
    backlog = backlog_of(run, level)
    backlog.n_bytes -= size
    backlog.n_blocks -= 1
    if run.settings.bounds_backlogs:
        open_next(run, level)


@internal
def _is_full(backlog: Backlog) -> bool:
    return backlog.n_bytes >= backlog.byte_limit or backlog.n_blocks >= backlog.block_limit


@internal
def _has_line(backlog: Backlog) -> bool:
    return backlog.transfers.first != NONE or backlog.writes.first != NONE


@internal
def is_shut(run: Run, level: int) -> bool:
    """Whether what comes now has to wait: nobody overtakes those who do already."""
    backlog = backlog_of(run, level)
    return _has_line(backlog) or _is_full(backlog)


@internal
def wait(run: Run, level: int, t: Transfer) -> None:
    """A transfer, on no link now, waits for its turn."""
    t.turn, t.mate = run.n_turns, NONE
    run.n_turns += 1
    lists.append(run, backlog_of(run, level).transfers, t.at, IN_QUEUE)


@internal
def wait_to_write(run: Run, x: Access) -> None:
    """A write waits for its turn to allocate in tier 0."""
    x.turn = run.n_turns
    run.n_turns += 1
    lists.append(run, backlog_of(run, 0).writes, x.at, AMONG_WAITERS)


@internal
def open_next(run: Run, level: int) -> None:
    """Who is next may come in, if there is room: a completion of this instant (rule R2)."""
    backlog = backlog_of(run, level)
    if _has_line(backlog) and not backlog.will_open and not _is_full(backlog):
        backlog.will_open = 1
        schedule(run, 0, MAY_COME_IN, level)  # type: ignore[arg-type]


@internal
def is_write_next(run: Run, level: int) -> bool:
    """Whether the first in line is a write."""
    backlog = backlog_of(run, level)
    transfer, write = backlog.transfers.first, backlog.writes.first
    return write != NONE and (transfer == NONE or access_at(run, write).turn < transfer_at(run, transfer).turn)


@internal
def may_come_in(run: Run, level: int) -> bool:
    """Whether the first in line does come in: a prefetch that was given up may have filled it again (rule R10)."""
    backlog = backlog_of(run, level)
    backlog.will_open = 0
    return _has_line(backlog) and not _is_full(backlog)


@internal
def next_transfer(run: Run, level: int) -> Transfer:
    """Take the first transfer out of the line."""
    t = transfer_at(run, backlog_of(run, level).transfers.first)
    lists.remove(run, backlog_of(run, level).transfers, t.at, IN_QUEUE)
    return t


@internal
def next_write(run: Run, level: int) -> Access:
    """Take the first write out of the line."""
    x = access_at(run, backlog_of(run, level).writes.first)
    lists.remove(run, backlog_of(run, level).writes, x.at, AMONG_WAITERS)
    return x
