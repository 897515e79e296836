"""Which blocks of a request lie behind one that is missing (rule R41)."""

from simulator import flight
from simulator.arrays import NONE
from simulator.compiled import internal
from simulator.records.arena import Arena
from simulator.records.rows import TraceRow
from simulator.records.run import Run
from simulator.residency import moves
from simulator.streams import stream_of
from simulator.trace import WRITE


@internal
def is_behind(run: Run, arena: Arena, row: TraceRow) -> bool:
    """Whether a block before it in its request was in no tier, and not in flight, when that one was issued."""
    stream = stream_of(run, row.stream)
    if stream.prefix_of != row.request:
        stream.prefix_of, stream.is_broken = row.request, 0
    if row.op == WRITE or stream.is_broken:
        return row.op != WRITE
    stream.is_broken = moves.locate(arena, row.key) == 0 and flight.find(run, row.key) == NONE
    return False
