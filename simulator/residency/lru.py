"""Least recently used: a list in order of use, the head used last (Mattson et al. 1970)."""

from simulator.compiled import compiled
from simulator.residency import lists
from simulator.residency.layout import R_POLICY, Tier

HEAD = R_POLICY


@compiled
def setup(t: Tier) -> None:
    """Start empty."""
    lists.clear(t, HEAD)


@compiled
def on_hit(t: Tier, slot: int) -> None:
    """Move to the head."""
    if t.reg[HEAD] != slot:
        lists.unlink(t, HEAD, slot)
        lists.push_front(t, HEAD, slot)


@compiled
def on_insert(t: Tier, slot: int) -> None:
    """Enter at the head."""
    lists.push_front(t, HEAD, slot)


@compiled
def victim(t: Tier) -> int:
    """The slot to evict next; it stays where it is."""
    return t.reg[HEAD + 1]


@compiled
def on_remove(t: Tier, slot: int) -> None:
    """Forget a slot that leaves, as a victim or otherwise."""
    lists.unlink(t, HEAD, slot)
