"""Hyperbolic caching (Blankstein et al., ATC 2017): of 64 blocks drawn at random, the one used least per time in cache.

Time is counted in uses of the tier. Blocks are taken to cost the same; their sizes only decide how many must go. A draw
may take a block twice. Victims are drawn anew at each eviction.
"""

from simulator.arrays import Ints
from simulator.compiled import internal
from simulator.residency import heap, randomness
from simulator.residency.layout import R_EXTRA, Tier

# Of the further fields: when it came in.
EXTRAS = 1
SAMPLES = 64
_CLOCK = heap.COUNT + 1


@internal
def setup(a: Ints, t: Tier) -> None:
    """Start empty."""
    heap.clear(a, t)


@internal
def on_hit(a: Ints, t: Tier, slot: int) -> None:
    """Count the use."""
    a[t.reg + _CLOCK] += 1
    a[slot + t.aux] += 1


@internal
def on_insert(a: Ints, t: Tier, slot: int) -> None:
    """Its first use."""
    a[t.reg + _CLOCK] += 1
    a[slot + t.aux] = 1
    a[slot + a[t.reg + R_EXTRA]] = a[t.reg + _CLOCK]
    heap.drop_in(a, t, slot)


@internal
def victim(a: Ints, t: Tier) -> int:
    """The fewest uses per time of a sample, the first drawn of those that are alike; products keep it whole."""
    n, now, extra = a[t.reg + heap.COUNT], a[t.reg + _CLOCK] + 1, a[t.reg + R_EXTRA]
    worst = heap.at(a, t, randomness.below(a, t, n))
    for _ in range(SAMPLES - 1):
        slot = heap.at(a, t, randomness.below(a, t, n))
        if a[slot + t.aux] * (now - a[worst + extra]) < a[worst + t.aux] * (now - a[slot + extra]):
            worst = slot
    return worst


@internal
def on_remove(a: Ints, t: Tier, slot: int, evicted: bool) -> None:
    """Out of the bag."""
    heap.draw_out(a, t, slot)
