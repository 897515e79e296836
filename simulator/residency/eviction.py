"""What happens between a tier's blocks and its eviction policy, out of whose sight is what is prefetched aside.

LRU and FIFO, which most simulations are of, become part of the code that calls; all others are behind ``hooks``.
"""

from simulator.arrays import NONE, At
from simulator.compiled import internal, soon
from simulator.records.arena import Arena, Block, Tier, block_at, entry_at, tier_at
from simulator.residency import admission, aside, blocks, fifo, ghosts, lru
from simulator.residency.hooks import call_on_remove, call_on_slot, call_victim
from simulator.residency.names import BY_USE, FRONT, HOOKED


@internal
def on_hit(arena: Arena, level: int, slot: At[Block]) -> None:
    """A resident block was used."""
    admission.count(arena, level, slot)
    tier = tier_at(arena, level)
    if tier.aside.n_blocks != 0 and aside.has(arena, level, slot):
        aside.leave(arena, level, slot)
        _take(arena, level, tier, slot)
    elif tier.order == BY_USE:
        lru.on_hit(arena, level, slot)
    elif tier.hooks.on_hit != 0:
        call_on_slot(tier.hooks.on_hit, arena, level, slot)


@internal
def recall(arena: Arena, level: int, slot: At[Block]) -> None:
    """A block is about to come in: if it is a ghost, its policy learns from that; ``aux`` is its mark then, else 0."""
    tier = tier_at(arena, level)
    if tier.is_told or ghosts.is_one(arena, level, slot):
        call_on_slot(tier.hooks.recall, arena, level, slot)
    else:
        entry_at(arena, level, slot).aux = 0


@internal
def on_insert(arena: Arena, level: int, slot: At[Block]) -> None:
    """A block has come in."""
    tier, entry = tier_at(arena, level), entry_at(arena, level, slot)
    if tier.enters != FRONT and entry.prefetch != NONE:
        aside.enter(arena, level, slot)
        if not tier.is_told:
            # Its policy will see it as a new block, whatever it remembered of it.
            entry.aux = 0
    else:
        _take(arena, level, tier, slot)


@internal
def _take(arena: Arena, level: int, tier: Tier, slot: At[Block]) -> None:
    if tier.order == HOOKED:
        call_on_slot(tier.hooks.on_insert, arena, level, slot)
    else:
        fifo.on_insert(arena, level, slot)


@internal
def victim(arena: Arena, level: int) -> At[Block]:
    """The slot to evict next; the same again if it is asked again, but for those drawn at random."""
    slot = aside.victim(arena, level)
    if slot != NONE:
        return slot
    tier = tier_at(arena, level)
    return call_victim(tier.hooks.victim, arena, level) if tier.order == HOOKED else fifo.victim(arena, level)


@internal
def overflow(arena: Arena, level: int) -> At[Block]:
    """Who must go for the use just now, which has set the tier's ``overflows``; or NONE."""
    return call_victim(tier_at(arena, level).hooks.overflow, arena, level)


@internal
def out_soon(arena: Arena, level: int) -> At[Block]:
    """Have fetched what the next one to go and the one after it will need; the slot of the next one.

    NONE where it takes more than a look to know who goes next.
    """
    if tier_at(arena, level).order == HOOKED:
        return NONE
    slot = fifo.victim(arena, level)
    if slot != NONE:
        # Its row was fetched when the one before it went.
        blocks.find_soon(arena, block_at(arena, slot).key)
        behind = entry_at(arena, level, slot).links.prev
        if behind != NONE:
            soon(arena, behind)
    return slot


@internal
def on_remove(arena: Arena, level: int, slot: At[Block], evicted: bool) -> None:
    """A block leaves: ``evicted``, and its policy may remember it, or taken out."""
    tier = tier_at(arena, level)
    if tier.aside.n_blocks != 0 and aside.has(arena, level, slot):
        aside.leave(arena, level, slot)
        if tier.is_told:
            ghosts.keep(arena, level, slot)
    elif tier.order == HOOKED:
        call_on_remove(tier.hooks.on_remove, arena, level, slot, evicted)
    else:
        fifo.on_remove(arena, level, slot, evicted)
