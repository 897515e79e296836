"""GreedyDual-Size with frequency (Cherkasova 1998): priority = age + frequency / bytes; small blocks stay longer.

The quotient is in units of 2^-40, so that no rounding depends on the order of sums.
"""

from simulator.arrays import Ints
from simulator.compiled import internal
from simulator.residency import greedy, heap
from simulator.residency.greedy import EXTRAS as EXTRAS
from simulator.residency.greedy import on_remove as on_remove
from simulator.residency.greedy import setup as setup
from simulator.residency.layout import SIZE, Tier
from simulator.residency.lfu import victim as victim

_UNIT = 1 << 40


@internal
def on_hit(a: Ints, t: Tier, slot: int) -> None:
    """Once more, at the present age."""
    greedy.use(a, t, slot, greedy.frequency(a, t, slot) + 1, _UNIT // a[slot + SIZE])
    heap.fix(a, t, slot)


@internal
def on_insert(a: Ints, t: Tier, slot: int) -> None:
    """Its first use."""
    greedy.use(a, t, slot, 1, _UNIT // a[slot + SIZE])
    heap.push(a, t, slot)
