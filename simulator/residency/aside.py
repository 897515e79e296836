"""Prefetched blocks until their first use, where they are not to enter like demanded ones: how much harm can they do?

Where ``front`` is not asked for, a prefetched block is set aside in a list of its own, out of the eviction policy's
sight, and comes to the policy as a new block at its first use. The list decides when it goes if it is never used:

- ``back``: before any other block, the one set aside last first. In LRU that is to enter at the end that is evicted.
- ``middle``: after half as many evictions as there were blocks when it came. In LRU that is the middle of the list, but
  for those behind it that are used again meanwhile.
- ``region``: when the region, a share of the capacity, is full; first in, first out. A region holds at least one block.

The list has fields of its own in each row: the links of the tier's entry may hold a heap's elements, which belong to
the row and not to its block.
"""

from simulator.arrays import NONE, At
from simulator.compiled import internal
from simulator.records import lists
from simulator.records.arena import ASIDE, Arena, Block, aside_entry_at, block_at, entry_at, tier_at
from simulator.residency.names import BACK, MIDDLE, REGION


@internal
def has(arena: Arena, level: int, slot: At[Block]) -> bool:
    """Whether a block is set aside in this tier."""
    return (block_at(arena, slot).where >> (ASIDE + level)) & 1 != 0


@internal
def enter(arena: Arena, level: int, slot: At[Block]) -> None:
    """Set a new block aside."""
    tier, block = tier_at(arena, level), block_at(arena, slot)
    block.where |= 1 << (ASIDE + level)
    aside = tier.aside
    aside_entry_at(arena, slot + aside.fields).due = tier.n_out + tier.n_blocks // 2
    aside.n_bytes += block.size
    aside.n_blocks += 1
    lists.prepend(arena, aside.blocks, slot, aside.fields)


@internal
def leave(arena: Arena, level: int, slot: At[Block]) -> None:
    """It was used, or goes."""
    aside, block = tier_at(arena, level).aside, block_at(arena, slot)
    block.where &= ~(1 << (ASIDE + level))
    aside.n_bytes -= block.size
    aside.n_blocks -= 1
    lists.remove(arena, aside.blocks, slot, aside.fields)


@internal
def victim(arena: Arena, level: int) -> At[Block]:
    """The block set aside that must go next, or NONE if the eviction policy is to choose."""
    tier = tier_at(arena, level)
    aside = tier.aside
    if aside.n_blocks == 0:
        return NONE
    oldest = aside.blocks.last
    if tier.enters == BACK:
        return aside.blocks.first
    if aside.n_blocks == tier.n_blocks:
        return oldest
    if tier.enters == MIDDLE and aside_entry_at(arena, oldest + aside.fields).due <= tier.n_out:
        return oldest
    return NONE


@internal
def overflow(arena: Arena, level: int) -> At[Block]:
    """The block that must leave the region for the one that is coming in, which is prefetched; or NONE."""
    tier = tier_at(arena, level)
    aside = tier.aside
    if tier.enters != REGION or aside.n_blocks == 0 or entry_at(arena, level, tier.coming).prefetch == NONE:
        return NONE
    if aside.n_bytes + block_at(arena, tier.coming).size <= aside.limit:
        return NONE
    return aside.blocks.last
