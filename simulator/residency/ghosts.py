"""Blocks that a tier holds no more, but whose eviction policy remembers."""

from simulator.arrays import Ints
from simulator.compiled import internal
from simulator.residency import blocks
from simulator.residency.layout import GHOST, SIZE, WHERE, Tier


@internal
def keep(a: Ints, t: Tier, slot: int) -> None:
    """Remember a block that leaves. Its size then is kept: the block may come back with another."""
    a[slot + WHERE] |= 1 << (GHOST + t.level)
    a[slot + t.dirty] = a[slot + SIZE]


@internal
def size(a: Ints, t: Tier, slot: int) -> int:
    """The bytes that a ghost had."""
    return a[slot + t.dirty]


@internal
def is_one(a: Ints, t: Tier, slot: int) -> bool:
    """Whether the tier remembers the block without holding it."""
    return (a[slot + WHERE] >> (GHOST + t.level)) & 1 != 0


@internal
def wake(a: Ints, t: Tier, slot: int) -> None:
    """A ghost comes back: it is one no longer."""
    a[slot + WHERE] &= ~(1 << (GHOST + t.level))


@internal
def forget(a: Ints, t: Tier, slot: int) -> None:
    """Forget a ghost, and give back its slot if that was all."""
    wake(a, t, slot)
    if a[slot + WHERE] == 0:
        blocks.free(a, slot)
