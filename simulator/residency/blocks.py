"""Blocks to slots and back: an open-addressing hash table with linear probing and backward-shift deletion.

An entry is a slot, and above it the low bits of its key's hash: to search and to delete, rows of other blocks, which
lie anywhere in memory, need not be read.
"""

from simulator.arrays import NONE, Ints, home
from simulator.compiled import internal, soon
from simulator.residency.layout import H_FREE, H_MASK, H_N_FREE, H_TABLE, KEY, SIZE, WHERE

_SLOT_BITS, _TAG_BITS = 40, 23
_SLOTS, _TAGS = (1 << _SLOT_BITS) - 1, (1 << _TAG_BITS) - 1


@internal
def slot_of(entry: int) -> int:
    """The slot that an entry of the table holds, or 0 if it is empty."""
    return entry & _SLOTS


@internal
def _start(a: Ints, entry: int, mask: int) -> int:
    """Where the probe of an entry's key starts."""
    if mask <= _TAGS:
        return (entry >> _SLOT_BITS) & mask
    return home(a[(entry & _SLOTS) + KEY], mask)


@internal
def find_soon(a: Ints, key: int) -> None:
    """A block will be looked for: fetch the place in the table where that begins."""
    soon(a, a[H_TABLE] + home(key, a[H_MASK]))


@internal
def use_soon(a: Ints, key: int) -> None:
    """A block will be used: fetch what lies there if it is where the search begins."""
    slot = a[a[H_TABLE] + home(key, a[H_MASK])] & _SLOTS
    if slot != 0:
        soon(a, slot)


@internal
def find(a: Ints, key: int) -> int:
    """The slot of a block that some tier holds or remembers, or NONE."""
    table, mask, hash_ = a[H_TABLE], a[H_MASK], home(key, -1)
    at, tag = hash_ & mask, hash_ & _TAGS
    entry = a[table + at]
    while entry != 0:
        if entry >> _SLOT_BITS == tag and a[(entry & _SLOTS) + KEY] == key:
            return entry & _SLOTS
        at = (at + 1) & mask
        entry = a[table + at]
    return NONE


@internal
def add(a: Ints, key: int, size: int) -> int:
    """A slot for a block that has none. The caller has seen to it that a slot is free."""
    slot = a[H_FREE]
    a[H_FREE] = a[slot + SIZE]
    a[H_N_FREE] -= 1
    a[slot + KEY] = key
    a[slot + SIZE] = size
    a[slot + WHERE] = 0
    enter(a, slot)
    return slot


@internal
def enter(a: Ints, slot: int) -> None:
    """Write ``slot`` at the first empty place of its key's probe."""
    table, mask, hash_ = a[H_TABLE], a[H_MASK], home(a[slot + KEY], -1)
    at = hash_ & mask
    while a[table + at] != 0:
        at = (at + 1) & mask
    a[table + at] = slot | ((hash_ & _TAGS) << _SLOT_BITS)


@internal
def free(a: Ints, slot: int) -> None:
    """Give back the slot of a block that no tier holds or remembers any more."""
    table, mask = a[H_TABLE], a[H_MASK]
    hole = home(a[slot + KEY], mask)
    while a[table + hole] & _SLOTS != slot:
        hole = (hole + 1) & mask
    at = hole
    while True:
        at = (at + 1) & mask
        entry = a[table + at]
        if entry == 0:
            break
        # An entry may move into the hole unless its probe starts after it (cyclically).
        if ((at - _start(a, entry, mask)) & mask) >= ((at - hole) & mask):
            a[table + hole] = entry
            hole = at
    a[table + hole] = 0
    a[slot + SIZE] = a[H_FREE]
    a[H_FREE] = slot
    a[H_N_FREE] += 1
