"""Belady's optimum, which reads the future.

The tier remembers every key of the stream from the start, as ghosts; ``aux`` has minus the position of a key's next
use, held and not held alike, and is set by ``passed`` as each access is issued. A write is a use.
"""

from typing import Any, ClassVar, Literal

from simulator.arrays import NONE, At
from simulator.compiled import internal
from simulator.records.arena import ASIDE, Arena, Block, block_at, entry_at, tier_at
from simulator.residency import blocks, ghosts, heap, lfu
from simulator.residency.heap import Stamp
from simulator.residency.lfu import state_at, victim
from simulator.residency.names import FUTURE
from simulator.residency.settings import EvictionHooks, EvictionSettings

NEVER = 1 << 62


@internal
def passed(arena: Arena, key: int, next_use: int) -> None:
    """An access was issued; its key is used next at ``next_use``."""
    slot = blocks.find(arena, key)
    if slot == NONE:
        return
    where = block_at(arena, slot).where
    for level in range(arena.n_tiers):
        if tier_at(arena, level).is_told == FUTURE:
            entry_at(arena, level, slot).aux = -next_use
            if (where >> level) & 1 and not (where >> (ASIDE + level)) & 1:
                heap.fix(arena, level, state_at(arena, level).blocks, slot)


@internal
def recall(arena: Arena, level: int, slot: At[Block]) -> None:
    """A block comes in; one that the stream does not have, which only a prefetch can bring, is never used."""
    if ghosts.is_one(arena, level, slot):
        ghosts.wake(arena, level, slot)
    else:
        entry_at(arena, level, slot).aux = -NEVER


@internal
def on_insert(arena: Arena, level: int, slot: At[Block]) -> None:
    """Into the heap, where its next use puts it."""
    lfu.stamp(arena, level, slot)
    heap.push(arena, level, state_at(arena, level).blocks, slot)


@internal
def on_remove(arena: Arena, level: int, slot: At[Block], evicted: bool) -> None:
    """Held no more, but not forgotten."""
    heap.remove(arena, level, state_at(arena, level).blocks, slot)
    ghosts.keep(arena, level, slot)


class Belady(EvictionSettings):
    """Belady's optimum (1966) for blocks of one size: the block whose next use in the stream is furthest goes."""

    kind: Literal["belady"]

    state: ClassVar[Any] = lfu.State
    fields: ClassVar[Any] = Stamp
    hooks: ClassVar[EvictionHooks | None] = EvictionHooks(on_insert, victim, on_remove, recall=recall)
    foresees: ClassVar[bool] = True
