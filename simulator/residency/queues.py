"""Lists of a tier's blocks, or of ghosts, linked by their entries, and how many bytes they are."""

from simulator.arrays import At
from simulator.compiled import internal
from simulator.records import lists
from simulator.records.arena import Arena, Block, links_of
from simulator.records.lists import List
from simulator.records.record import Record


class Queue(Record):
    """A list that is entered at its head, and its bytes."""

    blocks: List
    n_bytes: int


@internal
def enter(arena: Arena, level: int, queue: Queue, slot: At[Block], size: int) -> None:
    """To the head."""
    queue.n_bytes += size
    lists.prepend(arena, queue.blocks, slot, links_of(level))


@internal
def leave(arena: Arena, level: int, queue: Queue, slot: At[Block], size: int) -> None:
    """Out of it."""
    queue.n_bytes -= size
    lists.remove(arena, queue.blocks, slot, links_of(level))
