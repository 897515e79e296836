"""Where everything lies in the residency's one array.

All state is one int64 array, and a place in it is a plain integer. Compiled code takes the array and offsets, never a
tuple of arrays: unboxing one costs more than a hit, and so does the counting of references whenever one is passed on
(a hit in a small tier: 130 ns with views, 16 ns with offsets).

    header | registers, 48 a tier | areas | a row for each slot | hash table

A slot is the offset of its row, which never moves. A row holds key, size, where, for each tier prev, next, aux, dirty,
prefetch, then what further fields the tiers' eviction policies asked for, and is filled up to whole cache lines, of
which the first has all that a hit in tier 0 touches. An area is memory of a tier's own: the counters of a sketch.

A slot is a block that some tier holds, or a *ghost*: one that a tier holds no more, but whose eviction policy remembers
it. A ghost keeps its tier fields; its size there, which may differ from what the block has when it comes back, is in
the field ``dirty``.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from simulator.arrays import NONE, Ints
from simulator.compiled import internal

HEADER_SIZE = 8
# Slots, tiers, the table's offset, its size less one, the first free slot, how many are free, the first row, its size.
H_SLOTS, H_TIERS, H_TABLE, H_MASK, H_FREE, H_N_FREE, H_ROWS, H_WIDTH = range(8)

TIER_REGISTERS = 48
# The registers every tier has: which policy, bytes, blocks, blocks that ever came in and left; ...
R_KIND, R_CAPACITY, R_USED, R_BLOCKS, R_IN, R_OUT = range(6)
# ... what to add to a slot for the policy's further fields, where its area is, the state of its random numbers, the
# slot of the block that is coming in; ...
R_EXTRA, R_AREA, R_RANDOM, R_COMING = range(6, 10)
# ... admission and its parameter; where prefetched blocks enter, their list aside (first, last, bytes, blocks, limit),
# and what to add to a slot for the fields of that list: prev, next, when it is due; ...
(
    R_ADMISSION, R_ADMISSION_VALUE, R_ENTERS, R_ASIDE, R_ASIDE_LAST, R_ASIDE_USED, R_ASIDE_BLOCKS, R_ASIDE_LIMIT,
    R_ASIDE_FIELDS,
) = range(10, 19)  # fmt: skip
# ... and the addresses of its eviction policy's functions (``eviction.functions``); of LRU and FIFO there are none.
R_SETUP, R_ON_HIT, R_RECALL, R_ON_INSERT, R_VICTIM, R_ON_REMOVE = range(19, 25)
# From here on they belong to the eviction policy.
R_POLICY = 25

# A row's fields. A free slot's size is the next free slot.
KEY, SIZE, WHERE = range(3)
# ``where``: a bit for each tier that holds the block, then one for each that has a ghost of it, then one for each that
# has set it aside as prefetched and unused; and whether it is just coming in.
RESIDENT = 0xFF
GHOST, ASIDE, COMING = 8, 16, 1 << 24
_BLOCK_FIELDS = 3
_TIER_FIELDS = 5
_LINE = 8  # int64 in a cache line


class Tier(NamedTuple):
    """One tier: its level, the offset of its registers, and what to add to a slot for each of the tier's fields.

    The links and the number ``aux`` belong to the eviction policy; ``prefetch`` is the row of the prefetch that brought
    the block, until its first use.
    """

    level: int
    reg: int
    prev: int
    next: int
    aux: int
    dirty: int
    prefetch: int


@internal
def tier(level: int) -> Tier:
    """Where tier ``level`` is in any arena."""
    at = _BLOCK_FIELDS + _TIER_FIELDS * level
    return Tier(level, HEADER_SIZE + level * TIER_REGISTERS, at, at + 1, at + 2, at + 3, at + 4)


def new_arena(n_slots: int, extras: Sequence[int], areas: Sequence[int]) -> Ints:
    """An arena of free slots, with so many further fields and so large an area for each tier; not set up yet."""
    n_tiers = len(extras)
    table_size = _LINE
    while table_size < 2 * n_slots:
        table_size *= 2
    area = HEADER_SIZE + n_tiers * TIER_REGISTERS
    first = -(-(area + sum(areas)) // _LINE) * _LINE
    extra = _BLOCK_FIELDS + _TIER_FIELDS * n_tiers
    width = -(-(extra + sum(extras)) // _LINE) * _LINE
    table = first + n_slots * width
    room = np.zeros(table + table_size + _LINE, np.int64)
    # From the start of a cache line: header, registers and rows are whole lines.
    start = -(room.ctypes.data // room.itemsize) % _LINE
    arena = room[start : start + table + table_size]
    arena[:HEADER_SIZE] = n_slots, n_tiers, table, table_size - 1, first, n_slots, first, width
    for level in range(n_tiers):
        registers = arena[HEADER_SIZE + level * TIER_REGISTERS :]
        registers[R_EXTRA] = extra + sum(extras[:level])
        registers[R_AREA] = area + sum(areas[:level])
    following = arena[first + SIZE : table : width]
    following[:] = np.arange(first + width, table + width, width)
    following[-1] = NONE
    return arena
