"""First in, first out: a list in order of insertion, blind to hits."""

from simulator.arrays import Ints
from simulator.compiled import internal
from simulator.residency import lists
from simulator.residency.layout import R_POLICY, Tier

HEAD = R_POLICY


@internal
def setup(a: Ints, t: Tier) -> None:
    """Start empty."""
    lists.clear(a, t, HEAD)


@internal
def on_hit(a: Ints, t: Tier, slot: int) -> None:
    """Nothing: order of insertion is all that counts."""


@internal
def on_insert(a: Ints, t: Tier, slot: int) -> None:
    """Enter at the head."""
    lists.push_front(a, t, HEAD, slot)


@internal
def victim(a: Ints, t: Tier) -> int:
    """The slot to evict next; it stays where it is."""
    return lists.last(a, t, HEAD)


@internal
def on_remove(a: Ints, t: Tier, slot: int, evicted: bool) -> None:
    """Forget a slot that leaves, as a victim or otherwise."""
    lists.unlink(a, t, HEAD, slot)
