"""Least recently used: a list in order of use, the head used last (Mattson et al. 1970).

It is first in, first out in all but what a hit does.
"""

from simulator.arrays import Ints
from simulator.compiled import internal
from simulator.residency import lists
from simulator.residency.fifo import HEAD as HEAD
from simulator.residency.fifo import on_insert as on_insert
from simulator.residency.fifo import on_remove as on_remove
from simulator.residency.fifo import setup as setup
from simulator.residency.fifo import victim as victim
from simulator.residency.layout import Tier


@internal
def on_hit(a: Ints, t: Tier, slot: int) -> None:
    """Move to the head."""
    if lists.first(a, t, HEAD) != slot:
        lists.unlink(a, t, HEAD, slot)
        lists.push_front(a, t, HEAD, slot)
