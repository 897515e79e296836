"""Sends each call to the tier's eviction policy.

A branch on a number instead of a kernel closed over one policy's functions: the branch is always predicted, and unlike
a closure the machine code of all policies is found again in Numba's disk cache.
"""

from simulator.compiled import compiled
from simulator.residency import fifo, lru
from simulator.residency.layout import R_KIND, Ints, Tier
from simulator.residency.names import LRU


@compiled
def setup(a: Ints, t: Tier) -> None:
    """Start with an empty tier."""
    if a[t.reg + R_KIND] == LRU:
        lru.setup(a, t)
    else:
        fifo.setup(a, t)


@compiled
def on_hit(a: Ints, t: Tier, slot: int) -> None:
    """A resident block was used."""
    if a[t.reg + R_KIND] == LRU:
        lru.on_hit(a, t, slot)
    else:
        fifo.on_hit(a, t, slot)


@compiled
def on_insert(a: Ints, t: Tier, slot: int) -> None:
    """A block has come in."""
    if a[t.reg + R_KIND] == LRU:
        lru.on_insert(a, t, slot)
    else:
        fifo.on_insert(a, t, slot)


@compiled
def victim(a: Ints, t: Tier) -> int:
    """The slot to evict next."""
    if a[t.reg + R_KIND] == LRU:
        return lru.victim(a, t)
    return fifo.victim(a, t)


@compiled
def on_remove(a: Ints, t: Tier, slot: int) -> None:
    """A block leaves."""
    if a[t.reg + R_KIND] == LRU:
        lru.on_remove(a, t, slot)
    else:
        fifo.on_remove(a, t, slot)
