"""Blocks that a tier holds no more, but whose eviction policy remembers."""

from simulator.arrays import At
from simulator.compiled import internal
from simulator.records.arena import GHOST, Arena, Block, block_at, entry_at
from simulator.residency import blocks


@internal
def keep(arena: Arena, level: int, slot: At[Block]) -> None:
    """Remember a block that leaves. Its size then is kept: the block may come back with another."""
    block = block_at(arena, slot)
    block.where |= 1 << (GHOST + level)
    entry_at(arena, level, slot).dirty = block.size


@internal
def size(arena: Arena, level: int, slot: At[Block]) -> int:
    """The bytes that a ghost had."""
    return entry_at(arena, level, slot).dirty


@internal
def is_one(arena: Arena, level: int, slot: At[Block]) -> bool:
    """Whether the tier remembers the block without holding it."""
    return (block_at(arena, slot).where >> (GHOST + level)) & 1 != 0


@internal
def wake(arena: Arena, level: int, slot: At[Block]) -> None:
    """A ghost comes back: it is one no longer."""
    block_at(arena, slot).where &= ~(1 << (GHOST + level))


@internal
def forget(arena: Arena, level: int, slot: At[Block]) -> None:
    """Forget a ghost, and give back its slot if that was all."""
    wake(arena, level, slot)
    if block_at(arena, slot).where == 0:
        blocks.free(arena, slot)
