"""CLOCK, or second chance, with one bit: first in, first out, but a block that was used goes round once more.

Corbató 1968. It is first in, first out in all but what a hit and an eviction do.
"""

from simulator.arrays import Ints
from simulator.compiled import internal
from simulator.residency import fifo, lists
from simulator.residency.fifo import HEAD as HEAD
from simulator.residency.fifo import on_remove as on_remove
from simulator.residency.fifo import setup as setup
from simulator.residency.layout import Tier


@internal
def on_hit(a: Ints, t: Tier, slot: int) -> None:
    """Give it a second chance."""
    a[slot + t.aux] = 1


@internal
def on_insert(a: Ints, t: Tier, slot: int) -> None:
    """Enter behind the hand, without a second chance."""
    a[slot + t.aux] = 0
    fifo.on_insert(a, t, slot)


@internal
def victim(a: Ints, t: Tier) -> int:
    """The first without a second chance; those that are passed have had theirs."""
    slot = lists.last(a, t, HEAD)
    while a[slot + t.aux] != 0:
        a[slot + t.aux] = 0
        lists.unlink(a, t, HEAD, slot)
        lists.push_front(a, t, HEAD, slot)
        slot = lists.last(a, t, HEAD)
    return slot
