"""Which blocks of a request are missing, and which lie behind one that is (rules R41, R45)."""

from simulator import flight
from simulator.arrays import NONE
from simulator.compiled import internal
from simulator.links import PREFETCH
from simulator.records.arena import Arena
from simulator.records.moving import Stream, Transfer, transfer_at
from simulator.records.rows import TraceRow
from simulator.records.run import Run
from simulator.residency import moves
from simulator.trace import WRITE


@internal
def gives_up(run: Run, t: Transfer) -> bool:
    """Whether a request does not wait for a block that a prefetch is bringing."""
    return run.settings.gives_up != 0 and t.priority == PREFETCH


@internal
def is_missing(run: Run, arena: Arena, row: TraceRow) -> bool:
    """Whether a block that is read is in no tier that counts, and not on its way, or not in time."""
    if row.op == WRITE:
        return False
    moving = flight.find(run, row.key)
    if moving != NONE:
        return gives_up(run, transfer_at(run, moving))
    return moves.locate(arena, row.key) & run.settings.usable == 0


@internal
def is_behind(run: Run, arena: Arena, row: TraceRow, issuer: Stream) -> bool:
    """Whether a block before it in its request was missing when that one was issued; or it is, and some tier has it."""
    if issuer.prefix_of != row.request:
        issuer.prefix_of, issuer.is_broken = row.request, 0
    if row.op == WRITE or issuer.is_broken:
        return row.op != WRITE
    issuer.is_broken = is_missing(run, arena, row)
    return issuer.is_broken != 0 and (moves.locate(arena, row.key) != 0 or flight.find(run, row.key) != NONE)
