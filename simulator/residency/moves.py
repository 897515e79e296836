"""What can happen to a block in a tier: insert with evictions, remove, locate."""

import numpy as np

from simulator.compiled import compiled
from simulator.residency import blocks, eviction
from simulator.residency.layout import (
    H_FREE,
    H_MASK,
    H_N_FREE,
    H_SLOTS,
    H_TABLE,
    KEY,
    NONE,
    R_BLOCKS,
    R_CAPACITY,
    R_IN,
    R_KIND,
    R_OUT,
    R_USED,
    SIZE,
    WHERE,
    Ints,
    tier,
)

# The columns of the victims' buffer.
V_KEY, V_SIZE, V_DIRTY, V_PREFETCH, V_WHERE = range(5)
VICTIM_COLUMNS = 5
FULL, NO_SLOT = -1, -2


@compiled
def setup(a: Ints, level: int, kind: int, capacity: int) -> None:
    """Make a tier ready for use."""
    t = tier(level)
    a[t.reg + R_KIND] = kind
    a[t.reg + R_CAPACITY] = capacity
    eviction.setup(a, t)


@compiled
def locate(a: Ints, key: int) -> int:
    """A bit for each tier that holds the block."""
    slot = blocks.find(a, key)
    return 0 if slot == NONE else a[slot + WHERE]


@compiled
def take_out(a: Ints, level: int, slot: int) -> None:
    """Remove a block from one tier, and its slot if that was the last."""
    t = tier(level)
    eviction.on_remove(a, t, slot)
    a[t.reg + R_USED] -= a[slot + SIZE]
    a[t.reg + R_BLOCKS] -= 1
    a[t.reg + R_OUT] += 1
    a[slot + WHERE] &= ~(1 << level)
    if a[slot + WHERE] == 0:
        blocks.free(a, slot)


@compiled
def insert(a: Ints, level: int, key: int, size: int, dirty: int, prefetch: int, victims: Ints, report_all: bool) -> int:
    """Put a block that is not there into a tier, which is large enough, and evict until it fits.

    ``victims`` (n, 5) takes a row for each evicted block: key, size, dirty, prefetch row, and the
    tiers that still hold it; unless ``report_all``, only for those that are dirty or prefetched and unused. Returns
    their number, FULL if the buffer is full of victims and the block is not in yet, or NO_SLOT if the arena must grow
    first: then call again. A block that another tier holds keeps the size it has there.
    """
    t = tier(level)
    slot = blocks.find(a, key)
    if slot != NONE:
        size = a[slot + SIZE]
    elif a[H_N_FREE] == 0:
        return NO_SLOT
    n_victims = 0
    while a[t.reg + R_USED] + size > a[t.reg + R_CAPACITY]:
        if n_victims == len(victims):
            return FULL
        gone = eviction.victim(a, t)
        if report_all or a[gone + t.dirty] != 0 or a[gone + t.prefetch] != NONE:
            victims[n_victims, V_KEY] = a[gone + KEY]
            victims[n_victims, V_SIZE] = a[gone + SIZE]
            victims[n_victims, V_DIRTY] = a[gone + t.dirty]
            victims[n_victims, V_PREFETCH] = a[gone + t.prefetch]
            victims[n_victims, V_WHERE] = a[gone + WHERE] & ~(1 << level)
            n_victims += 1
        take_out(a, level, gone)
    if slot == NONE:
        slot = blocks.add(a, key, size)
    a[slot + t.dirty] = dirty
    a[slot + t.prefetch] = prefetch
    a[t.reg + R_USED] += size
    a[t.reg + R_BLOCKS] += 1
    a[t.reg + R_IN] += 1
    a[slot + WHERE] |= 1 << level
    eviction.on_insert(a, t, slot)
    return n_victims


@compiled
def remove(a: Ints, level: int, key: int) -> int:
    """Remove a block from a tier: its dirtiness, or NONE if it was not there."""
    slot = blocks.find(a, key)
    if slot == NONE or not (a[slot + WHERE] >> level) & 1:
        return NONE
    dirty = a[slot + tier(level).dirty]
    take_out(a, level, slot)
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
            blocks.enter(new, old[at])
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
def held_keys(a: Ints, level: int) -> Ints:
    """The keys of a tier's blocks, by slot: for checks, not for speed."""
    keys = np.empty(a[H_SLOTS], np.int64)
    n = 0
    for at in range(a[H_TABLE], len(a)):
        if a[at] != 0 and (a[a[at] + WHERE] >> level) & 1:
            keys[n] = a[a[at] + KEY]
            n += 1
    return keys[:n]


@compiled
def size_of(a: Ints, key: int) -> int:
    """The bytes of a block that some tier holds."""
    return a[blocks.find(a, key) + SIZE]
