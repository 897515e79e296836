"""What LFU with dynamic ageing and GDSF share: a heap by priority over an age ``L``, that of the last victim.

A block's priority is ``L`` at its last use plus its frequency times a weight: what was once used often sinks beneath
what is used now, as ``L`` only grows.
"""

from simulator.arrays import Ints
from simulator.compiled import internal
from simulator.residency import heap, lfu
from simulator.residency.layout import R_EXTRA, Tier

# Of the further fields: the time of the last use, by which the heap breaks ties, and the frequency.
EXTRAS = 2
_AGE = heap.COUNT + 2


@internal
def setup(a: Ints, t: Tier) -> None:
    """Start empty, at age 0."""
    heap.clear(a, t)
    a[t.reg + _AGE] = 0


@internal
def use(a: Ints, t: Tier, slot: int, frequency: int, weight: int) -> None:
    """Stamp a block with its priority."""
    a[slot + a[t.reg + R_EXTRA] + 1] = frequency
    a[slot + t.aux] = a[t.reg + _AGE] + frequency * weight
    lfu.stamp(a, t, slot)


@internal
def frequency(a: Ints, t: Tier, slot: int) -> int:
    """How often a block was used since it came in."""
    return a[slot + a[t.reg + R_EXTRA] + 1]


@internal
def on_remove(a: Ints, t: Tier, slot: int, evicted: bool) -> None:
    """The age is what the last victim had."""
    if evicted:
        a[t.reg + _AGE] = a[slot + t.aux]
    heap.remove(a, t, slot)
