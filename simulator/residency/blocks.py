"""Blocks to slots and back: an open-addressing hash table with linear probing and backward-shift deletion."""

import numpy as np

from simulator.compiled import compiled
from simulator.residency.layout import H_FREE, H_MASK, H_N_FREE, NONE, Directory, Ints


@compiled
def home(key: int, mask: int) -> int:
    """Where a key's probe starts (the finaliser of splitmix64)."""
    x = np.uint64(key)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64((x ^ (x >> np.uint64(31))) & np.uint64(mask))  # type: ignore[return-value]


@compiled
def find(d: Directory, key: int) -> int:
    """The slot of a block that some tier holds, or NONE."""
    mask = d.head[H_MASK]
    at = home(key, mask)
    while d.table[at] != 0:
        slot = d.table[at] - 1
        if d.key[slot] == key:
            return slot
        at = (at + 1) & mask
    return NONE


@compiled
def add(d: Directory, key: int, size: int) -> int:
    """A slot for a block that has none. The caller has seen to it that a slot is free."""
    slot = d.head[H_FREE]
    d.head[H_FREE] = d.size[slot]
    d.head[H_N_FREE] -= 1
    d.key[slot] = key
    d.size[slot] = size
    d.where[slot] = 0
    enter(d.table, d.head[H_MASK], key, slot)
    return slot


@compiled
def enter(table: Ints, mask: int, key: int, slot: int) -> None:
    """Write ``slot`` at the first empty place of the key's probe."""
    at = home(key, mask)
    while table[at] != 0:
        at = (at + 1) & mask
    table[at] = slot + 1


@compiled
def free(d: Directory, slot: int) -> None:
    """Give back the slot of a block that no tier holds any more."""
    mask = d.head[H_MASK]
    hole = home(d.key[slot], mask)
    while d.table[hole] != slot + 1:
        hole = (hole + 1) & mask
    at = hole
    while True:
        at = (at + 1) & mask
        if d.table[at] == 0:
            break
        # An entry may move into the hole unless its probe starts after it (cyclically).
        start = home(d.key[d.table[at] - 1], mask)
        if ((at - start) & mask) >= ((at - hole) & mask):
            d.table[hole] = d.table[at]
            hole = at
    d.table[hole] = 0
    d.size[slot] = d.head[H_FREE]
    d.head[H_FREE] = slot
    d.head[H_N_FREE] += 1
