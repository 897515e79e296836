"""First in, first out: a list in order of insertion."""

from typing import Any, ClassVar, Literal

from simulator.arrays import At
from simulator.compiled import internal
from simulator.records import lists
from simulator.records.arena import Arena, Block, links_of, state_of
from simulator.records.lists import List, clear_all
from simulator.records.record import Record
from simulator.residency.names import BY_ARRIVAL
from simulator.residency.settings import EvictionSettings, Made


class State(Record):
    """The order, who came last first."""

    blocks: List


state_at = state_of(State)


@internal
def on_insert(arena: Arena, level: int, slot: At[Block]) -> None:
    """Enter at the head."""
    lists.prepend(arena, state_at(arena, level).blocks, slot, links_of(level))


@internal
def victim(arena: Arena, level: int) -> At[Block]:
    """The slot to evict next; it stays where it is."""
    return state_at(arena, level).blocks.last


@internal
def on_remove(arena: Arena, level: int, slot: At[Block], evicted: bool) -> None:
    """Forget a slot that leaves, as a victim or otherwise."""
    lists.remove(arena, state_at(arena, level).blocks, slot, links_of(level))


class Fifo(EvictionSettings):
    """First in, first out: a list in order of insertion, blind to hits."""

    kind: Literal["fifo"]

    state: ClassVar[Any] = State
    order: ClassVar[int] = BY_ARRIVAL

    def prepare(self, state: State, made: Made) -> None:
        """Start empty."""
        clear_all(state.blocks)
