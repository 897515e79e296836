"""LFU with dynamic ageing: a block's priority is its frequency plus the age at its last use."""

from typing import Any, ClassVar, Literal

from simulator.arrays import At
from simulator.compiled import internal
from simulator.records.arena import Arena, Block
from simulator.residency import greedy
from simulator.residency.greedy import on_remove
from simulator.residency.lfu import victim
from simulator.residency.settings import EvictionHooks, EvictionSettings


@internal
def on_hit(arena: Arena, level: int, slot: At[Block]) -> None:
    """Once more, at the present age."""
    greedy.hit(arena, level, slot, 1)


@internal
def on_insert(arena: Arena, level: int, slot: At[Block]) -> None:
    """Its first use."""
    greedy.insert(arena, level, slot, 1)


class Lfuda(EvictionSettings):
    """LFU with dynamic ageing (Arlitt et al. 2000): priority = frequency + the age at the last use."""

    kind: Literal["lfuda"]

    state: ClassVar[Any] = greedy.State
    fields: ClassVar[Any] = greedy.Fields
    hooks: ClassVar[EvictionHooks | None] = EvictionHooks(on_insert, victim, on_remove, on_hit)
