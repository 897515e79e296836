"""SIEVE (Zhang et al., NSDI 2024): a queue in order of insertion, and a hand that spares what was used since it passed.

Unlike CLOCK's, spared blocks stay where they are, so that the hand sifts new blocks from old.
"""

from simulator.arrays import NONE, Ints
from simulator.compiled import internal
from simulator.residency import lists
from simulator.residency.layout import R_POLICY, Tier

HEAD = R_POLICY
_HAND = R_POLICY + 2


@internal
def setup(a: Ints, t: Tier) -> None:
    """Start empty."""
    lists.clear(a, t, HEAD)
    a[t.reg + _HAND] = NONE


@internal
def on_hit(a: Ints, t: Tier, slot: int) -> None:
    """Mark as visited."""
    a[slot + t.aux] = 1


@internal
def on_insert(a: Ints, t: Tier, slot: int) -> None:
    """Enter at the head, not visited."""
    a[slot + t.aux] = 0
    lists.push_front(a, t, HEAD, slot)


@internal
def victim(a: Ints, t: Tier) -> int:
    """Move the hand from the tail towards the head, clearing marks, to the first that has none."""
    slot = a[t.reg + _HAND]
    if slot == NONE:
        slot = lists.last(a, t, HEAD)
    while a[slot + t.aux] != 0:
        a[slot + t.aux] = 0
        slot = a[slot + t.prev]
        if slot == NONE:
            slot = lists.last(a, t, HEAD)
    a[t.reg + _HAND] = slot
    return slot


@internal
def on_remove(a: Ints, t: Tier, slot: int, evicted: bool) -> None:
    """The hand moves off what leaves."""
    if a[t.reg + _HAND] == slot:
        a[t.reg + _HAND] = a[slot + t.prev]
    lists.unlink(a, t, HEAD, slot)
