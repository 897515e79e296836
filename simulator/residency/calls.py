"""What Python calls of all this, by the arena's address."""

import numpy as np

from simulator.arrays import NONE, Ints
from simulator.compiled import compiled, ints_at
from simulator.records.arena import arena_at, block_at, entry_at, tier_at
from simulator.records.record import words_of
from simulator.residency import blocks, ghosts, leaf_lru, moves


@compiled
def locate(arena: int, key: int) -> int:
    """A bit for each tier that holds the block."""
    return moves.locate(arena_at(arena), key)


@compiled
def insert(
    arena: int, level: int, key: int, size: int, dirty: int, prefetch: int, out: int, most: int, report_all: bool
) -> int:
    """As ``moves.insert``; the rows of victims are at the address ``out``."""
    return moves.insert(
        arena_at(arena), level, key, size, dirty, prefetch, ints_at(out), 0, most, report_all  # type: ignore[arg-type]
    )  # fmt: skip


@compiled
def remove(arena: int, level: int, key: int) -> int:
    """Remove a block from a tier: its dirtiness, or NONE if it was not there."""
    return moves.remove(arena_at(arena), level, key)


@compiled
def use(arena: int, level: int, key: int) -> None:
    """A block that a tier holds was read there; ``push_out`` has to follow."""
    moves.use(arena_at(arena), level, key)


@compiled
def push_out(arena: int, level: int, out: int) -> int:
    """Evict whom the last use has pushed out: how many, whose rows are at the address ``out``."""
    if tier_at(arena_at(arena), level).overflows == 0:
        return 0
    return moves.push_out(arena_at(arena), level, ints_at(out), 0, True)  # type: ignore[arg-type]


@compiled
def mark(arena: int, level: int, key: int, dirty: int) -> None:
    """A block that a tier holds is at least so dirty there."""
    moves.mark(arena_at(arena), level, key, dirty)


@compiled
def size_of(arena: int, key: int) -> int:
    """The bytes of a block that some tier holds."""
    return moves.size_of(arena_at(arena), key)


@compiled
def enter_again(old: int, new: int) -> None:
    """Make the table of an arena into which the rows of a smaller one were copied."""
    arena, larger = arena_at(old), arena_at(new)
    cells = words_of(arena)
    for at in range(arena.table, arena.table + arena.mask + 1):
        if cells[at] != 0:
            blocks.enter(larger, blocks.slot_of(cells[at]))


@compiled
def remember(address: int, level: int, keys: Ints, marks: Ints) -> None:
    """Before the run: keys that a tier has as ghosts from the start, with their ``aux``; there are slots enough."""
    arena = arena_at(address)
    for i in range(len(keys)):
        slot = blocks.find(arena, keys[i])
        if slot == NONE:
            slot = blocks.add(arena, keys[i], 1)
        ghosts.keep(arena, level, slot)
        entry_at(arena, level, slot).aux = marks[i]


@compiled
def adopt(address: int, level: int, keys: Ints, parents: Ints) -> None:
    """Tell a tier that must know of it whose parent each block is; there are slots enough."""
    arena = arena_at(address)
    for i in range(len(keys)):
        child, parent = blocks.find(arena, keys[i]), blocks.find(arena, parents[i])
        if child == NONE:
            child = blocks.add(arena, keys[i], 1)
        if parent == NONE:
            parent = blocks.add(arena, parents[i], 1)
        leaf_lru.adopt(arena, level, child, parent)


@compiled
def held_keys(address: int, level: int) -> Ints:
    """The keys of the blocks that have bit ``level`` of ``where``, by slot: for checks, not for speed."""
    arena = arena_at(address)
    cells = words_of(arena)
    keys = np.empty(arena.n_slots, np.int64)
    n = 0
    for at in range(arena.table, arena.table + arena.mask + 1):
        slot = blocks.slot_of(cells[at])
        if slot != 0 and (block_at(arena, slot).where >> level) & 1:
            keys[n] = block_at(arena, slot).key
            n += 1
    return keys[:n]
