"""LFU: a heap by frequency, then by last use."""

from typing import Any, ClassVar, Literal

from simulator.arrays import At
from simulator.compiled import internal
from simulator.records.arena import Arena, Block, entry_at, state_of
from simulator.records.record import Record
from simulator.residency import heap
from simulator.residency.heap import Heap, Stamp, stamp_at
from simulator.residency.settings import EvictionHooks, EvictionSettings


class State(Record):
    """The heap, and the time: the number of uses."""

    blocks: Heap
    now: int


state_at = state_of(State)


@internal
def stamp(arena: Arena, level: int, slot: At[Block]) -> None:
    """Used now."""
    state = state_at(arena, level)
    state.now += 1
    stamp_at(arena, level, slot).time = state.now


@internal
def on_hit(arena: Arena, level: int, slot: At[Block]) -> None:
    """Count the use."""
    entry_at(arena, level, slot).aux += 1
    stamp(arena, level, slot)
    heap.fix(arena, level, state_at(arena, level).blocks, slot)


@internal
def on_insert(arena: Arena, level: int, slot: At[Block]) -> None:
    """Its first use."""
    entry_at(arena, level, slot).aux = 1
    stamp(arena, level, slot)
    heap.push(arena, level, state_at(arena, level).blocks, slot)


@internal
def victim(arena: Arena, level: int) -> At[Block]:
    """The least of the heap."""
    return heap.element(arena, level, 0).slot


@internal
def on_remove(arena: Arena, level: int, slot: At[Block], evicted: bool) -> None:
    """Out of the heap."""
    heap.remove(arena, level, state_at(arena, level).blocks, slot)


class Lfu(EvictionSettings):
    """LFU: the least frequently used, of these the one used least recently. A block that leaves loses its count."""

    kind: Literal["lfu"]

    state: ClassVar[Any] = State
    fields: ClassVar[Any] = Stamp
    hooks: ClassVar[EvictionHooks | None] = EvictionHooks(on_insert, victim, on_remove, on_hit)
