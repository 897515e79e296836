"""What LFU with dynamic ageing and GDSF share: a heap by priority over an age ``L``, that of the last victim.

A block's priority is ``L`` at its last use plus its frequency times a weight: what was once used often sinks beneath
what is used now, as ``L`` only grows. ``aux``: the priority.
"""

from simulator.arrays import At
from simulator.compiled import internal
from simulator.records.arena import Arena, Block, entry_at, fields_of, state_of
from simulator.residency import heap, lfu
from simulator.residency.heap import Stamp


class State(lfu.State):
    """As LFU's, and the age."""

    age: int


class Fields(Stamp):
    """When a block was used last, and how often since it came in."""

    frequency: int


state_at, fields_at = state_of(State), fields_of(Fields)


@internal
def use(arena: Arena, level: int, slot: At[Block], frequency: int, weight: int) -> None:
    """Stamp a block with its priority."""
    fields_at(arena, level, slot).frequency = frequency
    entry_at(arena, level, slot).aux = state_at(arena, level).age + frequency * weight
    lfu.stamp(arena, level, slot)


@internal
def hit(arena: Arena, level: int, slot: At[Block], weight: int) -> None:
    """Once more, at the present age."""
    use(arena, level, slot, fields_at(arena, level, slot).frequency + 1, weight)
    heap.fix(arena, level, state_at(arena, level).blocks, slot)


@internal
def insert(arena: Arena, level: int, slot: At[Block], weight: int) -> None:
    """Its first use."""
    use(arena, level, slot, 1, weight)
    heap.push(arena, level, state_at(arena, level).blocks, slot)


@internal
def on_remove(arena: Arena, level: int, slot: At[Block], evicted: bool) -> None:
    """The age is what the last victim had."""
    state = state_at(arena, level)
    if evicted:
        state.age = entry_at(arena, level, slot).aux
    heap.remove(arena, level, state.blocks, slot)
