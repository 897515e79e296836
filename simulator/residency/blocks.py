"""Blocks to slots and back: an open-addressing hash table with linear probing and backward-shift deletion."""

from simulator.arrays import NONE, Ints, home
from simulator.compiled import internal, soon
from simulator.residency.layout import H_FREE, H_MASK, H_N_FREE, H_TABLE, KEY, SIZE, WHERE


@internal
def find_soon(a: Ints, key: int) -> None:
    """A block will be looked for: fetch the place in the table where that begins."""
    soon(a, a[H_TABLE] + home(key, a[H_MASK]))


@internal
def use_soon(a: Ints, key: int) -> None:
    """A block will be used: fetch what lies there if it is where the search begins."""
    slot = a[a[H_TABLE] + home(key, a[H_MASK])]
    if slot != 0:
        soon(a, slot)


@internal
def find(a: Ints, key: int) -> int:
    """The slot of a block that some tier holds or remembers, or NONE."""
    table, mask = a[H_TABLE], a[H_MASK]
    at = home(key, mask)
    while a[table + at] != 0:
        slot = a[table + at]
        if a[slot + KEY] == key:
            return slot
        at = (at + 1) & mask
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
    table, mask = a[H_TABLE], a[H_MASK]
    at = home(a[slot + KEY], mask)
    while a[table + at] != 0:
        at = (at + 1) & mask
    a[table + at] = slot


@internal
def free(a: Ints, slot: int) -> None:
    """Give back the slot of a block that no tier holds or remembers any more."""
    table, mask = a[H_TABLE], a[H_MASK]
    hole = home(a[slot + KEY], mask)
    while a[table + hole] != slot:
        hole = (hole + 1) & mask
    at = hole
    while True:
        at = (at + 1) & mask
        if a[table + at] == 0:
            break
        # An entry may move into the hole unless its probe starts after it (cyclically).
        start = home(a[a[table + at] + KEY], mask)
        if ((at - start) & mask) >= ((at - hole) & mask):
            a[table + hole] = a[table + at]
            hole = at
    a[table + hole] = 0
    a[slot + SIZE] = a[H_FREE]
    a[H_FREE] = slot
    a[H_N_FREE] += 1
