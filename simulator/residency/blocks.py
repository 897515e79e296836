"""Blocks to slots and back: an open-addressing hash table with linear probing and backward-shift deletion.

A cell of the table is a slot, and above it the low bits of its key's hash: to search and to delete, rows of other
blocks, which lie anywhere in memory, need not be read.
"""

from typing import Any

from simulator.arrays import NONE, At, spot
from simulator.compiled import internal, soon
from simulator.records.arena import Arena, Block, block_at, free_slot_at
from simulator.records.record import note, words_of

_SLOT_BITS, _TAG_BITS = 40, 23
_SLOTS, _TAGS = (1 << _SLOT_BITS) - 1, (1 << _TAG_BITS) - 1


@internal
def slot_of(cell: Any) -> At[Block]:
    """The slot that a cell of the table holds, or 0 if it is empty."""
    return cell & _SLOTS


@internal
def _start(arena: Arena, cell: int, mask: int) -> int:
    """Where the probe of a cell's key starts."""
    if mask <= _TAGS:
        return (cell >> _SLOT_BITS) & mask
    return spot(block_at(arena, slot_of(cell)).key, mask)


@internal
def find_soon(arena: Arena, key: int) -> None:
    """A block will be looked for: fetch the place in the table where that begins."""
    soon(arena, arena.table + spot(key, arena.mask))


@internal
def use_soon(arena: Arena, key: int) -> None:
    """A block will be used: fetch what lies there if it is where the search begins."""
    slot = words_of(arena)[arena.table + spot(key, arena.mask)] & _SLOTS
    if slot != 0:
        soon(arena, slot)


@internal
def find(arena: Arena, key: int) -> At[Block]:
    """The slot of a block that some tier holds or remembers, or NONE."""
    words, table, mask, hash_ = words_of(arena), arena.table, arena.mask, spot(key, -1)
    at, tag = hash_ & mask, hash_ & _TAGS
    cell = words[table + at]
    while cell != 0:
        if cell >> _SLOT_BITS == tag and block_at(arena, slot_of(cell)).key == key:
            return slot_of(cell)
        at = (at + 1) & mask
        cell = words[table + at]
    return NONE


@internal
def add(arena: Arena, key: int, size: int) -> At[Block]:
    """A slot for a block that has none. The caller has seen to it that a slot is free."""
    slot = arena.free
    arena.free = free_slot_at(arena, slot).next
    arena.n_free -= 1
    note(arena, slot, True)
    block = block_at(arena, slot)
    block.key, block.size, block.where = key, size, 0
    enter(arena, slot)
    return slot


@internal
def enter(arena: Arena, slot: At[Block]) -> None:
    """Write ``slot`` at the first empty place of its key's probe."""
    words, table, mask, hash_ = words_of(arena), arena.table, arena.mask, spot(block_at(arena, slot).key, -1)
    at = hash_ & mask
    while words[table + at] != 0:
        at = (at + 1) & mask
    words[table + at] = slot | ((hash_ & _TAGS) << _SLOT_BITS)


@internal
def free(arena: Arena, slot: At[Any]) -> None:
    """Give back the slot of a block that no tier holds or remembers any more."""
    words, table, mask = words_of(arena), arena.table, arena.mask
    hole = spot(block_at(arena, slot).key, mask)
    while words[table + hole] & _SLOTS != slot:
        hole = (hole + 1) & mask
    at = hole
    while True:
        at = (at + 1) & mask
        cell = words[table + at]
        if cell == 0:
            break
        # A cell may move into the hole unless its probe starts after it (cyclically).
        if ((at - _start(arena, cell, mask)) & mask) >= ((at - hole) & mask):
            words[table + hole] = cell
            hole = at
    words[table + hole] = 0
    note(arena, slot, False)
    free_slot_at(arena, slot).next = arena.free
    arena.free = slot
    arena.n_free += 1
