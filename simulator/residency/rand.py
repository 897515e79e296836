"""Random: blocks in a bag, to draw from and to take out of in one step each."""

from typing import Any, ClassVar, Literal

from simulator.arrays import At
from simulator.compiled import internal
from simulator.records.arena import Arena, Block, state_of, tier_at
from simulator.records.record import Record
from simulator.residency import heap, randomness
from simulator.residency.heap import Heap
from simulator.residency.settings import EvictionHooks, EvictionSettings


class State(Record):
    """The bag."""

    bag: Heap


_state_at = state_of(State)


@internal
def on_insert(arena: Arena, level: int, slot: At[Block]) -> None:
    """Into the bag."""
    heap.drop_in(arena, level, _state_at(arena, level).bag, slot)


@internal
def victim(arena: Arena, level: int) -> At[Block]:
    """Any."""
    n = _state_at(arena, level).bag.n
    return heap.element(arena, level, randomness.below(tier_at(arena, level), n)).slot


@internal
def on_remove(arena: Arena, level: int, slot: At[Block], evicted: bool) -> None:
    """Out of the bag."""
    heap.draw_out(arena, level, _state_at(arena, level).bag, slot)


class Random(EvictionSettings):
    """Random: every block is as likely to go (Belady 1966)."""

    kind: Literal["random"]

    state: ClassVar[Any] = State
    hooks: ClassVar[EvictionHooks | None] = EvictionHooks(on_insert, victim, on_remove)
