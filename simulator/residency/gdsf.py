"""GreedyDual-Size with frequency: the quotient of uses and bytes is in units of 2^-40.

So no rounding depends on the order of sums.
"""

from typing import Any, ClassVar, Literal

from simulator.arrays import At
from simulator.compiled import internal
from simulator.records.arena import Arena, Block, block_at
from simulator.residency import greedy
from simulator.residency.greedy import on_remove
from simulator.residency.lfu import victim
from simulator.residency.settings import EvictionHooks, EvictionSettings

_UNIT = 1 << 40


@internal
def on_hit(arena: Arena, level: int, slot: At[Block]) -> None:
    """Once more, at the present age."""
    greedy.hit(arena, level, slot, _UNIT // block_at(arena, slot).size)


@internal
def on_insert(arena: Arena, level: int, slot: At[Block]) -> None:
    """Its first use."""
    greedy.insert(arena, level, slot, _UNIT // block_at(arena, slot).size)


class Gdsf(EvictionSettings):
    """GreedyDual-Size with frequency (Cherkasova 1998): priority = age + frequency / bytes; small blocks stay long."""

    kind: Literal["gdsf"]

    state: ClassVar[Any] = greedy.State
    fields: ClassVar[Any] = greedy.Fields
    hooks: ClassVar[EvictionHooks | None] = EvictionHooks(on_insert, victim, on_remove, on_hit)
