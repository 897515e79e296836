"""Where everything lies in the residency's one array.

All state is one int64 array, and a place in it is a plain integer. Compiled code takes the array and offsets, never a
tuple of arrays: unboxing one costs more than a hit, and so does the counting of references whenever one is passed on
(a hit in a small tier: 130 ns with views, 16 ns with offsets).

    header | registers, 32 a tier | a row for each slot | hash table

A slot is the offset of its row, which never moves. A row holds key, size, where, and for each tier prev, next, aux,
dirty, prefetch, and is filled up to whole cache lines, of which the first has all that a hit in tier 0 touches.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.compiled import compiled

Ints = npt.NDArray[np.int64]

HEADER_SIZE = 8
# Slots, tiers, the table's offset, its size less one, the first free slot, how many are free.
H_SLOTS, H_TIERS, H_TABLE, H_MASK, H_FREE, H_N_FREE = range(6)

TIER_REGISTERS = 32
# The registers every tier has; from R_POLICY on they belong to its eviction policy.
R_KIND, R_CAPACITY, R_USED, R_BLOCKS, R_IN, R_OUT, R_POLICY = range(7)

# A row's fields; ``where`` has a bit for each tier that holds the block. A free slot's size is the next free slot.
KEY, SIZE, WHERE = range(3)
_BLOCK_FIELDS = 3
_TIER_FIELDS = 5
_LINE = 8  # int64 in a cache line

NONE = -1


class Tier(NamedTuple):
    """One tier: the offset of its registers, and what to add to a slot for each of the tier's fields.

    The links and the number ``aux`` belong to the eviction policy; ``prefetch`` is the row of the prefetch that brought
    the block, until its first use.
    """

    reg: int
    prev: int
    next: int
    aux: int
    dirty: int
    prefetch: int


@compiled
def tier(level: int) -> Tier:
    """Where tier ``level`` is in any arena."""
    at = _BLOCK_FIELDS + _TIER_FIELDS * level
    return Tier(HEADER_SIZE + level * TIER_REGISTERS, at, at + 1, at + 2, at + 3, at + 4)


def rows_at(n_tiers: int) -> int:
    """The first slot."""
    return HEADER_SIZE + n_tiers * TIER_REGISTERS


def row_size(n_tiers: int) -> int:
    """From a slot to the next."""
    return -(-(_BLOCK_FIELDS + _TIER_FIELDS * n_tiers) // _LINE) * _LINE


def new_arena(n_slots: int, n_tiers: int) -> Ints:
    """An arena of free slots; the tiers' registers and their eviction policies are still to be set up."""
    table_size = _LINE
    while table_size < 2 * n_slots:
        table_size *= 2
    first, width = rows_at(n_tiers), row_size(n_tiers)
    table = first + n_slots * width
    room = np.zeros(table + table_size + _LINE, np.int64)
    # From the start of a cache line: header, registers and rows are whole lines.
    start = -(room.ctypes.data // room.itemsize) % _LINE
    arena = room[start : start + table + table_size]
    arena[:HEADER_SIZE] = n_slots, n_tiers, table, table_size - 1, first, n_slots, 0, 0
    following = arena[first + SIZE : table : width]
    following[:] = np.arange(first + width, table + width, width)
    following[-1] = NONE
    return arena


def signed(key: int) -> int:
    """A uint64 key as the int64 that the arrays hold."""
    return key - 2**64 if key >= 2**63 else key
