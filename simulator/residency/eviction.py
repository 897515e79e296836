"""Sends each call to the tier's eviction policy.

A branch on a number instead of a kernel closed over one policy's functions: the branch is always predicted, and unlike
a closure the machine code of all policies is found again in Numba's disk cache.
"""

from simulator.compiled import compiled
from simulator.residency import fifo, lru
from simulator.residency.layout import R_KIND, Tier
from simulator.residency.names import LRU


@compiled
def setup(t: Tier) -> None:
    """Start with an empty tier."""
    if t.reg[R_KIND] == LRU:
        lru.setup(t)
    else:
        fifo.setup(t)


@compiled
def on_hit(t: Tier, slot: int) -> None:
    """A resident block was used."""
    if t.reg[R_KIND] == LRU:
        lru.on_hit(t, slot)
    else:
        fifo.on_hit(t, slot)


@compiled
def on_insert(t: Tier, slot: int) -> None:
    """A block has come in."""
    if t.reg[R_KIND] == LRU:
        lru.on_insert(t, slot)
    else:
        fifo.on_insert(t, slot)


@compiled
def victim(t: Tier) -> int:
    """The slot to evict next."""
    if t.reg[R_KIND] == LRU:
        return lru.victim(t)
    return fifo.victim(t)


@compiled
def on_remove(t: Tier, slot: int) -> None:
    """A block leaves."""
    if t.reg[R_KIND] == LRU:
        lru.on_remove(t, slot)
    else:
        fifo.on_remove(t, slot)
