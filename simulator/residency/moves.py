"""What can happen to a block in a tier: insert with evictions, remove, locate."""

import numpy as np

from simulator.compiled import compiled
from simulator.residency import blocks, eviction
from simulator.residency.layout import (
    H_FREE,
    H_MASK,
    H_N_FREE,
    H_SLOTS,
    H_TIERS,
    NONE,
    R_BLOCKS,
    R_CAPACITY,
    R_IN,
    R_KIND,
    R_OUT,
    R_USED,
    Ints,
    directory,
    tier,
)

# The columns of the victims' buffer.
V_KEY, V_SIZE, V_DIRTY, V_PREFETCH, V_WHERE = range(5)
VICTIM_COLUMNS = 5
FULL = -1


@compiled
def setup(arena: Ints, level: int, kind: int, capacity: int) -> None:
    """Make a tier ready for use."""
    t = tier(arena, level)
    t.reg[R_KIND] = kind
    t.reg[R_CAPACITY] = capacity
    eviction.setup(t)


@compiled
def locate(arena: Ints, key: int) -> int:
    """A bit for each tier that holds the block."""
    d = directory(arena)
    slot = blocks.find(d, key)
    return 0 if slot == NONE else d.where[slot]


@compiled
def take_out(arena: Ints, level: int, slot: int) -> None:
    """Remove a block from one tier, and its slot if that was the last."""
    d, t = directory(arena), tier(arena, level)
    eviction.on_remove(t, slot)
    t.reg[R_USED] -= d.size[slot]
    t.reg[R_BLOCKS] -= 1
    t.reg[R_OUT] += 1
    d.where[slot] &= ~(1 << level)
    if d.where[slot] == 0:
        blocks.free(d, slot)


@compiled
def insert(
    arena: Ints, level: int, key: int, size: int, dirty: int, prefetch: int, victims: Ints, report_all: bool
) -> int:
    """Put a block that is not there into a tier, which is large enough, and evict until it fits.

    A slot must be free. ``victims`` (n, 5) takes a row for each evicted block: key, size, dirty, prefetch row, and the
    tiers that still hold it; unless ``report_all``, only for those that are dirty or prefetched and unused. Returns
    their number, or FULL if the buffer is full of victims and the block is not in yet: then call again. A block
    that another tier holds keeps the size it has there.
    """
    d, t = directory(arena), tier(arena, level)
    slot = blocks.find(d, key)
    if slot != NONE:
        size = d.size[slot]
    n_victims = 0
    while t.reg[R_USED] + size > t.reg[R_CAPACITY]:
        if n_victims == len(victims):
            return FULL
        gone = eviction.victim(t)
        if report_all or t.dirty[gone] != 0 or t.prefetch[gone] != NONE:
            victims[n_victims, V_KEY] = d.key[gone]
            victims[n_victims, V_SIZE] = d.size[gone]
            victims[n_victims, V_DIRTY] = t.dirty[gone]
            victims[n_victims, V_PREFETCH] = t.prefetch[gone]
            victims[n_victims, V_WHERE] = d.where[gone] & ~(1 << level)
            n_victims += 1
        take_out(arena, level, gone)
    if slot == NONE:
        slot = blocks.add(d, key, size)
    t.dirty[slot] = dirty
    t.prefetch[slot] = prefetch
    t.reg[R_USED] += size
    t.reg[R_BLOCKS] += 1
    t.reg[R_IN] += 1
    d.where[slot] |= 1 << level
    eviction.on_insert(t, slot)
    return n_victims


@compiled
def remove(arena: Ints, level: int, key: int) -> int:
    """Remove a block from a tier: its dirtiness, or NONE if it was not there."""
    d, t = directory(arena), tier(arena, level)
    slot = blocks.find(d, key)
    if slot == NONE or not (d.where[slot] >> level) & 1:
        return NONE
    dirty = t.dirty[slot]
    take_out(arena, level, slot)
    return dirty


@compiled
def copy_into(old: Ints, new: Ints) -> None:
    """Copy everything into a larger arena, slot by slot; the eviction policies' lists keep their slots."""
    a, b = directory(old), directory(new)
    n_old, n_new = old[H_SLOTS], new[H_SLOTS]
    for level in range(old[H_TIERS]):
        s, t = tier(old, level), tier(new, level)
        t.reg[:] = s.reg
        t.prev[:n_old] = s.prev
        t.next[:n_old] = s.next
        t.aux[:n_old] = s.aux
        t.dirty[:n_old] = s.dirty
        t.prefetch[:n_old] = s.prefetch
    b.key[:n_old] = a.key
    b.size[:n_old] = a.size
    b.where[:n_old] = a.where
    for slot in range(n_old):
        if a.where[slot] != 0:
            blocks.enter(b.table, b.head[H_MASK], a.key[slot], slot)
    # Old free slots first, in their order, then the new ones.
    last = NONE
    slot = a.head[H_FREE]
    while slot != NONE:
        last = slot
        slot = a.size[slot]
    if last == NONE:
        b.head[H_FREE] = n_old
    else:
        b.head[H_FREE] = a.head[H_FREE]
        b.size[last] = n_old
    b.head[H_N_FREE] = a.head[H_N_FREE] + n_new - n_old


@compiled
def held_keys(arena: Ints, level: int) -> Ints:
    """The keys of a tier's blocks, by slot: for checks, not for speed."""
    d = directory(arena)
    keys = np.empty(len(d.key), np.int64)
    n = 0
    for at in range(len(d.table)):
        slot = d.table[at] - 1
        if slot >= 0 and (d.where[slot] >> level) & 1:
            keys[n] = d.key[slot]
            n += 1
    return keys[:n]


@compiled
def size_of(arena: Ints, key: int) -> int:
    """The bytes of a block that some tier holds."""
    d = directory(arena)
    return d.size[blocks.find(d, key)]
