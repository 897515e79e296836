"""Belady's optimum (1966) for blocks of one size: the block whose next use in the demand stream is furthest goes.

The tier remembers every key of the stream from the start, as ghosts; ``aux`` has minus the position of a key's next
use, held and not held alike, and is set by ``passed`` as each access is issued. A write is a use.
"""

from simulator.arrays import NONE, Ints
from simulator.compiled import internal
from simulator.residency import blocks, ghosts, heap, lfu
from simulator.residency.layout import ASIDE, H_TIERS, R_KIND, WHERE, Tier, tier
from simulator.residency.lfu import EXTRAS as EXTRAS
from simulator.residency.lfu import setup as setup
from simulator.residency.lfu import victim as victim
from simulator.residency.names import BELADY

NEVER = 1 << 62


@internal
def foresee(a: Ints, level: int, slot: int, position: int) -> None:
    """Before the run: a key of the stream, and where it is used first."""
    t = tier(level)
    ghosts.keep(a, t, slot)
    a[slot + t.aux] = -position


@internal
def passed(a: Ints, key: int, following: int) -> None:
    """An access was issued; its key is used next at ``following``."""
    slot = blocks.find(a, key)
    if slot == NONE:
        return
    for level in range(a[H_TIERS]):
        t = tier(level)
        if a[t.reg + R_KIND] == BELADY:
            a[slot + t.aux] = -following
            if (a[slot + WHERE] >> level) & 1 and not (a[slot + WHERE] >> (ASIDE + level)) & 1:
                heap.fix(a, t, slot)


@internal
def on_hit(a: Ints, t: Tier, slot: int) -> None:
    """Nothing: ``passed`` has seen it."""


@internal
def recall(a: Ints, t: Tier, slot: int) -> None:
    """A block comes in; one that the stream does not have, which only a prefetch can bring, is never used."""
    if ghosts.is_one(a, t, slot):
        ghosts.wake(a, t, slot)
    else:
        a[slot + t.aux] = -NEVER


@internal
def on_insert(a: Ints, t: Tier, slot: int) -> None:
    """Into the heap, where its next use puts it."""
    lfu.stamp(a, t, slot)
    heap.push(a, t, slot)


@internal
def on_remove(a: Ints, t: Tier, slot: int, evicted: bool) -> None:
    """Held no more, but not forgotten."""
    heap.remove(a, t, slot)
    ghosts.keep(a, t, slot)
