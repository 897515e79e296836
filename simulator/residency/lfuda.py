"""LFU with dynamic ageing (Arlitt et al. 2000): a block's priority is its frequency plus the age at its last use."""

from simulator.arrays import Ints
from simulator.compiled import internal
from simulator.residency import greedy, heap
from simulator.residency.greedy import EXTRAS as EXTRAS
from simulator.residency.greedy import on_remove as on_remove
from simulator.residency.greedy import setup as setup
from simulator.residency.layout import Tier
from simulator.residency.lfu import victim as victim


@internal
def on_hit(a: Ints, t: Tier, slot: int) -> None:
    """Once more, at the present age."""
    greedy.use(a, t, slot, greedy.frequency(a, t, slot) + 1, 1)
    heap.fix(a, t, slot)


@internal
def on_insert(a: Ints, t: Tier, slot: int) -> None:
    """Its first use."""
    greedy.use(a, t, slot, 1, 1)
    heap.push(a, t, slot)
