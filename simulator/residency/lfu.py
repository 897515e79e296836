"""LFU: the least frequently used, of these the one used least recently. A block that leaves loses its count."""

from simulator.arrays import Ints
from simulator.compiled import internal
from simulator.residency import heap
from simulator.residency.layout import R_EXTRA, Tier

# Of the further fields: the time of the last use, by which the heap breaks ties.
EXTRAS = 1
_CLOCK = heap.COUNT + 1


@internal
def setup(a: Ints, t: Tier) -> None:
    """Start empty."""
    heap.clear(a, t)


@internal
def stamp(a: Ints, t: Tier, slot: int) -> None:
    """Used now."""
    a[t.reg + _CLOCK] += 1
    a[slot + a[t.reg + R_EXTRA]] = a[t.reg + _CLOCK]


@internal
def on_hit(a: Ints, t: Tier, slot: int) -> None:
    """Count the use."""
    a[slot + t.aux] += 1
    stamp(a, t, slot)
    heap.fix(a, t, slot)


@internal
def on_insert(a: Ints, t: Tier, slot: int) -> None:
    """Its first use."""
    a[slot + t.aux] = 1
    stamp(a, t, slot)
    heap.push(a, t, slot)


@internal
def victim(a: Ints, t: Tier) -> int:
    """The least of the heap."""
    return heap.at(a, t, 0)


@internal
def on_remove(a: Ints, t: Tier, slot: int, evicted: bool) -> None:
    """Out of the heap."""
    heap.remove(a, t, slot)
