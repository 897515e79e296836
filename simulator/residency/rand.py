"""Random: every block is as likely to go (Belady 1966)."""

from simulator.arrays import Ints
from simulator.compiled import internal
from simulator.residency import heap, randomness
from simulator.residency.layout import Tier


@internal
def setup(a: Ints, t: Tier) -> None:
    """Start empty."""
    heap.clear(a, t)


@internal
def on_hit(a: Ints, t: Tier, slot: int) -> None:
    """Nothing."""


@internal
def on_insert(a: Ints, t: Tier, slot: int) -> None:
    """Into the bag."""
    heap.drop_in(a, t, slot)


@internal
def victim(a: Ints, t: Tier) -> int:
    """Any."""
    return heap.at(a, t, randomness.below(a, t, a[t.reg + heap.COUNT]))


@internal
def on_remove(a: Ints, t: Tier, slot: int, evicted: bool) -> None:
    """Out of the bag."""
    heap.draw_out(a, t, slot)
