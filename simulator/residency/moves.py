"""What can happen to a block in a tier: insert with evictions, remove, locate."""

import numpy as np

from simulator.arrays import NONE, Ints
from simulator.compiled import compiled, internal
from simulator.residency import admission, aside, belady, blocks, eviction, ghosts, lists
from simulator.residency.layout import (
    COMING,
    H_FREE,
    H_MASK,
    H_N_FREE,
    H_SLOTS,
    H_TABLE,
    KEY,
    R_ASIDE,
    R_BLOCKS,
    R_CAPACITY,
    R_COMING,
    R_IN,
    R_KIND,
    R_OUT,
    R_RANDOM,
    R_USED,
    RESIDENT,
    SIZE,
    WHERE,
    Tier,
    tier,
)
from simulator.residency.names import BELADY

# The columns of a victim's row.
V_KEY, V_SIZE, V_DIRTY, V_PREFETCH, V_WHERE = range(5)
VICTIM_COLUMNS = 5
FULL, NO_SLOT = -1, -2


@compiled
def setup(a: Ints, level: int, kind: int, capacity: int, seed: int) -> None:
    """Make a tier ready for use."""
    t = tier(level)
    a[t.reg + R_KIND] = kind
    a[t.reg + R_CAPACITY] = capacity
    a[t.reg + R_RANDOM] = seed
    lists.clear(a, t, R_ASIDE)
    eviction.setup(a, t)


@compiled
def locate(a: Ints, key: int) -> int:
    """A bit for each tier that holds the block."""
    slot = blocks.find(a, key)
    return 0 if slot == NONE else a[slot + WHERE] & RESIDENT


@internal
def take_out(a: Ints, level: int, slot: int, evicted: bool) -> None:
    """Remove a block from one tier, and its slot if no tier holds or remembers it."""
    t = tier(level)
    # First: what a policy drops of its ghosts must not give back this slot as well.
    a[slot + WHERE] = (a[slot + WHERE] & ~(1 << level)) | COMING
    eviction.on_remove(a, t, slot, evicted)
    # Kept, not read again: the processor would wait until what is written here has got to its cache.
    where = a[slot + WHERE] & ~COMING
    a[slot + WHERE] = where
    a[t.reg + R_USED] -= a[slot + SIZE]
    a[t.reg + R_BLOCKS] -= 1
    a[t.reg + R_OUT] += 1
    if where == 0:
        blocks.free(a, slot)


@internal
def _report(a: Ints, level: int, slot: int, out: Ints, row: int, report_all: bool) -> int:
    """Tell of a block that the tier does not keep, if that matters; how many were told of."""
    t = tier(level)
    if not report_all and a[slot + t.dirty] == 0 and a[slot + t.prefetch] == NONE:
        return 0
    out[row + V_KEY] = a[slot + KEY]
    out[row + V_SIZE] = a[slot + SIZE]
    out[row + V_DIRTY] = a[slot + t.dirty]
    out[row + V_PREFETCH] = a[slot + t.prefetch]
    out[row + V_WHERE] = a[slot + WHERE] & RESIDENT & ~(1 << level)
    return 1


@internal
def _next_victim(a: Ints, t: Tier) -> int:
    """Who must go before the block that is coming in fits, or NONE."""
    slot = aside.overflow(a, t)
    if slot != NONE:
        return slot
    if a[t.reg + R_USED] + a[a[t.reg + R_COMING] + SIZE] > a[t.reg + R_CAPACITY]:
        return eviction.victim(a, t)
    return NONE


@compiled
def insert(
    a: Ints,
    level: int,
    key: int,
    size: int,
    dirty: int,
    prefetch: int,
    out: Ints,
    at: int,
    most: int,
    report_all: bool,
) -> int:
    """Put a block that is not there into a tier, which is large enough, and evict until it fits.

    ``out`` takes from ``at`` on a row for each evicted block, ``most`` at a time: key, size, dirty, prefetch, and the
    tiers that still hold it; unless ``report_all``, only for those that are dirty or prefetched and unused. Returns
    their number, FULL if there are ``most`` victims and the block is not in yet, or NO_SLOT if the arena must grow
    first: then call again. A block that another tier holds keeps the size it has there. A block that is not admitted
    is the only victim.
    """
    t = tier(level)
    slot = blocks.find(a, key)
    if slot == NONE:
        if a[H_N_FREE] == 0:
            return NO_SLOT
        slot = blocks.add(a, key, size)
    # A second call for the same block, when the buffer was full, goes on where the first one stopped.
    again = a[slot + WHERE] & COMING != 0
    if not again:
        if a[slot + WHERE] & RESIDENT == 0:
            a[slot + SIZE] = size
        a[slot + WHERE] |= COMING
        eviction.recall(a, t, slot)
        a[slot + t.dirty] = dirty
        a[slot + t.prefetch] = prefetch
        a[t.reg + R_COMING] = slot
        admission.count(a, t, slot)
    n_victims = 0
    gone = _next_victim(a, t)
    if not again and not admission.admits(a, t, slot, gone):
        n_victims = _report(a, level, slot, out, at, report_all)
        a[slot + WHERE] &= ~COMING
        if a[t.reg + R_KIND] == BELADY:
            ghosts.keep(a, t, slot)
        if a[slot + WHERE] == 0:
            blocks.free(a, slot)
        return n_victims
    while gone != NONE:
        if n_victims == most:
            return FULL
        n_victims += _report(a, level, gone, out, at + n_victims * VICTIM_COLUMNS, report_all)
        take_out(a, level, gone, True)
        gone = _next_victim(a, t)
    a[t.reg + R_USED] += a[slot + SIZE]
    a[t.reg + R_BLOCKS] += 1
    a[t.reg + R_IN] += 1
    a[slot + WHERE] = (a[slot + WHERE] & ~COMING) | (1 << level)
    eviction.on_insert(a, t, slot)
    return n_victims


@compiled
def remove(a: Ints, level: int, key: int) -> int:
    """Remove a block from a tier: its dirtiness, or NONE if it was not there."""
    slot = blocks.find(a, key)
    if slot == NONE or not (a[slot + WHERE] >> level) & 1:
        return NONE
    dirty = a[slot + tier(level).dirty]
    take_out(a, level, slot, False)
    return dirty


@compiled
def use(a: Ints, level: int, key: int) -> None:
    """A block that a tier holds was read there."""
    eviction.on_hit(a, tier(level), blocks.find(a, key))


@compiled
def mark(a: Ints, level: int, key: int, dirty: int) -> None:
    """A block that a tier holds is at least so dirty there."""
    at = blocks.find(a, key) + tier(level).dirty
    a[at] = max(a[at], dirty)


@compiled
def copy_into(old: Ints, new: Ints) -> None:
    """Copy everything into a larger arena. Slots keep their offsets, so no link changes; the table is made anew."""
    n_slots, n_free, table, mask = new[H_SLOTS], new[H_N_FREE], new[H_TABLE], new[H_MASK]
    # The first of the slots that are new: behind the old rows, where the old table began.
    fresh = old[H_TABLE]
    new[:fresh] = old[:fresh]
    new[H_SLOTS], new[H_TABLE], new[H_MASK] = n_slots, table, mask
    new[H_N_FREE] = n_free - old[H_SLOTS] + old[H_N_FREE]
    for at in range(old[H_TABLE], len(old)):
        if old[at] != 0:
            blocks.enter(new, blocks.slot_of(old[at]))
    # Old free slots first, in their order, then the new ones.
    last = NONE
    slot = old[H_FREE]
    while slot != NONE:
        last = slot
        slot = old[slot + SIZE]
    if last == NONE:
        new[H_FREE] = fresh
    else:
        new[last + SIZE] = fresh


@compiled
def foresee(a: Ints, level: int, keys: Ints, positions: Ints) -> None:
    """Tell a tier that reads the future of each key's first use; there are slots enough."""
    for i in range(len(keys)):
        slot = blocks.find(a, keys[i])
        if slot == NONE:
            slot = blocks.add(a, keys[i], 1)
        belady.foresee(a, level, slot, positions[i])


@compiled
def held_keys(a: Ints, level: int) -> Ints:
    """The keys of the blocks that have bit ``level`` of ``where``, by slot: for checks, not for speed."""
    keys = np.empty(a[H_SLOTS], np.int64)
    n = 0
    for at in range(a[H_TABLE], len(a)):
        slot = blocks.slot_of(a[at])
        if slot != 0 and (a[slot + WHERE] >> level) & 1:
            keys[n] = a[slot + KEY]
            n += 1
    return keys[:n]


@compiled
def size_of(a: Ints, key: int) -> int:
    """The bytes of a block that some tier holds."""
    return a[blocks.find(a, key) + SIZE]
