"""What can happen to a block in a tier: insert with evictions, remove, locate."""

from typing import Any

from simulator.arrays import NONE, At
from simulator.compiled import internal
from simulator.records.arena import (
    COMING,
    RESIDENT,
    Arena,
    Block,
    Victim,
    block_at,
    entry_at,
    tier_at,
    victim_at,
)
from simulator.residency import admission, aside, blocks, eviction, ghosts
from simulator.residency.names import MOST_PUSHED_OUT

FULL, NO_SLOT = -1, -2
_VICTIM = Victim.words


@internal
def held_in(arena: Arena, slot: At[Block]) -> int:
    """A bit for each tier that holds the block of a slot, which may be NONE."""
    return 0 if slot == NONE else block_at(arena, slot).where & RESIDENT


@internal
def locate(arena: Arena, key: int) -> int:
    """A bit for each tier that holds the block."""
    return held_in(arena, blocks.find(arena, key))


@internal
def take_out(arena: Arena, level: int, slot: At[Block], evicted: bool) -> None:
    """Remove a block from one tier, and its slot if no tier holds or remembers it."""
    tier, block = tier_at(arena, level), block_at(arena, slot)
    # First: what a policy drops of its ghosts must not give back this slot as well.
    block.where = (block.where & ~(1 << level)) | COMING
    eviction.on_remove(arena, level, slot, evicted)
    # Kept, not read again: the processor would wait until what is written here has got to its cache.
    where = block.where & ~COMING
    block.where = where
    tier.used -= block.size
    tier.n_blocks -= 1
    tier.n_out += 1
    if where == 0:
        blocks.free(arena, slot)


@internal
def _tell(
    arena: Arena, level: int, slot: At[Block], dirty: int, prefetch: At[Any], out: Any, row: At[Victim],
    report_all: bool,
) -> int:  # fmt: skip
    """Tell of a block that the tier does not keep, if that matters; how many were told of."""
    if not report_all and dirty == 0 and prefetch == NONE:
        return 0
    block, victim = block_at(arena, slot), victim_at(out, row)
    victim.key, victim.size, victim.dirty, victim.prefetch = block.key, block.size, dirty, prefetch
    victim.where = block.where & RESIDENT & ~(1 << level)
    return 1


@internal
def _report(arena: Arena, level: int, slot: At[Block], out: Any, row: At[Victim], report_all: bool) -> int:
    entry = entry_at(arena, level, slot)
    return _tell(arena, level, slot, entry.dirty, entry.prefetch, out, row, report_all)


@internal
def _next_victim(arena: Arena, level: int) -> At[Block]:
    """Who must go before the block that is coming in fits, or NONE."""
    slot = aside.overflow(arena, level)
    if slot != NONE:
        return slot
    tier = tier_at(arena, level)
    if tier.used + block_at(arena, tier.coming).size > tier.capacity:
        return eviction.victim(arena, level)
    return NONE


@internal
def insert(
    arena: Arena,
    level: int,
    key: int,
    size: int,
    dirty: int,
    prefetch: At[Any],
    out: Any,
    at: At[Victim],
    most: int,
    report_all: bool,
) -> int:
    """Put a block that is not there into a tier, and evict until it fits.

    ``out`` takes from ``at`` on a Victim for each evicted block, ``most`` at a time; unless ``report_all``, only for
    those that are dirty or prefetched and unused. Returns their number, FULL if there are ``most`` victims and the
    block is not in yet, or NO_SLOT if the arena must grow first: then call again. A block that another tier holds
    keeps the size it has there. A block that is not admitted, or larger than the
    tier, is the only victim.
    """
    slot = blocks.find(arena, key)
    return insert_found(arena, level, slot, key, size, dirty, prefetch, out, at, most, report_all)


@internal
def insert_found(
    arena: Arena,
    level: int,
    slot: At[Block],
    key: int,
    size: int,
    dirty: int,
    prefetch: At[Any],
    out: Any,
    at: At[Victim],
    most: int,
    report_all: bool,
) -> int:
    """The same where the block's slot is known, or that it has none (NONE)."""
    if slot == NONE:
        if arena.n_free == 0:
            return NO_SLOT
        slot = blocks.add(arena, key, size)
    tier, block = tier_at(arena, level), block_at(arena, slot)
    # A second call for the same block, when the buffer was full, goes on where the first one stopped.
    again = block.where & COMING != 0
    if not again:
        if block.where & RESIDENT == 0:
            block.size = size
        if block.size > tier.capacity:
            # It passes by, and neither policy nor admission takes notice: what its entry says is a ghost's.
            n_victims = _tell(arena, level, slot, dirty, prefetch, out, at, report_all)
            if block.where == 0:
                blocks.free(arena, slot)
            return n_victims
        block.where |= COMING
        eviction.recall(arena, level, slot)
        entry = entry_at(arena, level, slot)
        entry.dirty, entry.prefetch = dirty, prefetch
        tier.coming = slot
        admission.count(arena, level, slot)
    n_victims = 0
    gone = _next_victim(arena, level)
    if not again and not admission.admits(arena, level, slot, gone):
        n_victims = _report(arena, level, slot, out, at, report_all)
        block.where &= ~COMING
        if tier.is_told:
            ghosts.keep(arena, level, slot)
        if block.where == 0:
            blocks.free(arena, slot)
        return n_victims
    while gone != NONE:
        if n_victims == most:
            return FULL
        n_victims += _report(arena, level, gone, out, at + n_victims * _VICTIM, report_all)
        take_out(arena, level, gone, True)
        gone = _next_victim(arena, level)
    tier.used += block.size
    tier.n_blocks += 1
    tier.n_in += 1
    block.where = (block.where & ~COMING) | (1 << level)
    eviction.on_insert(arena, level, slot)
    return n_victims


@internal
def remove(arena: Arena, level: int, key: int) -> int:
    """Remove a block from a tier: its dirtiness, or NONE if it was not there."""
    slot = blocks.find(arena, key)
    if slot == NONE or not (block_at(arena, slot).where >> level) & 1:
        return NONE
    dirty = entry_at(arena, level, slot).dirty
    take_out(arena, level, slot, False)
    return dirty


@internal
def use(arena: Arena, level: int, key: int) -> None:
    """A block that a tier holds was read there; if the tier ``overflows`` now, blocks are to be pushed out."""
    eviction.on_hit(arena, level, blocks.find(arena, key))


@internal
def push_out(arena: Arena, level: int, out: Any, at: At[Victim], report_all: bool) -> int:
    """After a use that has set ``overflows``: evict whom it has pushed out (rule R42), MOST_PUSHED_OUT at most.

    ``out`` takes from ``at`` on a Victim for each, as in ``insert``. Returns their number.
    """
    n_victims = 0
    for _ in range(MOST_PUSHED_OUT):
        gone = eviction.overflow(arena, level)
        if gone == NONE:
            break
        n_victims += _report(arena, level, gone, out, at + n_victims * _VICTIM, report_all)
        take_out(arena, level, gone, True)
    tier_at(arena, level).overflows = 0
    return n_victims


@internal
def mark(arena: Arena, level: int, key: int, dirty: int) -> None:
    """A block that a tier holds is at least so dirty there."""
    entry = entry_at(arena, level, blocks.find(arena, key))
    entry.dirty = max(entry.dirty, dirty)


@internal
def size_of(arena: Arena, key: int) -> int:
    """The bytes of a block that some tier holds."""
    return block_at(arena, blocks.find(arena, key)).size
