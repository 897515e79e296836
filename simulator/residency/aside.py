"""Prefetched blocks until their first use, where they are not to enter like demanded ones: how much harm can they do?

Where ``front`` is not asked for, a prefetched block is set aside in a list of its own, out of the eviction policy's
sight, and comes to the policy as a new block at its first use. The list decides when it goes if it is never used:

- ``back``: before any other block, the one set aside last first. In LRU that is to enter at the end that is evicted.
- ``middle``: after half as many evictions as there were blocks when it came. In LRU that is the middle of the list, but
  for those behind it that are used again meanwhile.
- ``region``: when the region, a share of the capacity, is full; first in, first out. A region holds at least one block.
"""

from simulator.arrays import NONE, Ints
from simulator.compiled import internal
from simulator.residency import lists
from simulator.residency.layout import (
    ASIDE,
    R_ASIDE,
    R_ASIDE_BLOCKS,
    R_ASIDE_FIELDS,
    R_ASIDE_LIMIT,
    R_ASIDE_USED,
    R_BLOCKS,
    R_COMING,
    R_ENTERS,
    R_OUT,
    SIZE,
    WHERE,
    Tier,
)
from simulator.residency.names import BACK, MIDDLE, REGION

# The fields of a row that the list needs beside the policy's: prev, next, when it is due. The tier's own links may hold
# a heap's elements, which belong to the row and not to its block.
FIELDS = 3


@internal
def _links(a: Ints, t: Tier) -> Tier:
    """The same tier with the links of the list, and its due in the place of ``aux``."""
    at = a[t.reg + R_ASIDE_FIELDS]
    return Tier(t.level, t.reg, at, at + 1, at + 2, t.dirty, t.prefetch)


@internal
def has(a: Ints, t: Tier, slot: int) -> bool:
    """Whether a block is set aside in this tier."""
    return (a[slot + WHERE] >> (ASIDE + t.level)) & 1 != 0


@internal
def enter(a: Ints, t: Tier, slot: int) -> None:
    """Set a new block aside."""
    a[slot + WHERE] |= 1 << (ASIDE + t.level)
    links = _links(a, t)
    a[slot + links.aux] = a[t.reg + R_OUT] + a[t.reg + R_BLOCKS] // 2
    a[t.reg + R_ASIDE_USED] += a[slot + SIZE]
    a[t.reg + R_ASIDE_BLOCKS] += 1
    lists.push_front(a, links, R_ASIDE, slot)


@internal
def leave(a: Ints, t: Tier, slot: int) -> None:
    """It was used, or goes."""
    a[slot + WHERE] &= ~(1 << (ASIDE + t.level))
    a[t.reg + R_ASIDE_USED] -= a[slot + SIZE]
    a[t.reg + R_ASIDE_BLOCKS] -= 1
    lists.unlink(a, _links(a, t), R_ASIDE, slot)


@internal
def victim(a: Ints, t: Tier) -> int:
    """The block set aside that must go next, or NONE if the eviction policy is to choose."""
    if a[t.reg + R_ASIDE_BLOCKS] == 0:
        return NONE
    links = _links(a, t)
    oldest = lists.last(a, links, R_ASIDE)
    if a[t.reg + R_ASIDE_BLOCKS] == a[t.reg + R_BLOCKS]:
        return lists.first(a, links, R_ASIDE) if a[t.reg + R_ENTERS] == BACK else oldest
    if a[t.reg + R_ENTERS] == BACK:
        return lists.first(a, links, R_ASIDE)
    if a[t.reg + R_ENTERS] == MIDDLE:
        return oldest if a[oldest + links.aux] <= a[t.reg + R_OUT] else NONE
    return NONE


@internal
def overflow(a: Ints, t: Tier) -> int:
    """The block that must leave the region for the one that is coming in, which is prefetched; or NONE."""
    coming = a[t.reg + R_COMING]
    if a[t.reg + R_ENTERS] != REGION or a[coming + t.prefetch] == NONE or a[t.reg + R_ASIDE_BLOCKS] == 0:
        return NONE
    if a[t.reg + R_ASIDE_USED] + a[coming + SIZE] <= a[t.reg + R_ASIDE_LIMIT]:
        return NONE
    return lists.last(a, _links(a, t), R_ASIDE)
