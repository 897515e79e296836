"""Where everything lies in the residency's one array.

All state is one int64 array, so that a compiled call takes one argument: unboxing a tuple of twenty arrays costs more
than a hit. ``directory`` and ``tier`` cut named views from it inside compiled code, where that is nearly free.

    header | registers, 32 a tier | hash table | a row for each slot

A row holds key, size, where, and for each tier prev, next, aux, dirty, prefetch: with one tier 64 bytes, so that a
hit touches one or two cache lines for the block itself instead of one for each field. The views have strides.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.compiled import compiled

Ints = npt.NDArray[np.int64]

HEADER_SIZE = 8
H_SLOTS, H_TIERS, H_MASK, H_FREE, H_N_FREE = range(5)

TIER_REGISTERS = 32
# The registers every tier has; from R_POLICY on they belong to its eviction policy.
R_KIND, R_CAPACITY, R_USED, R_BLOCKS, R_IN, R_OUT, R_POLICY = range(7)

BLOCK_FIELDS = 3
TIER_FIELDS = 5

NONE = -1


class Directory(NamedTuple):
    """Blocks by slot. ``table`` holds slot + 1 (0 is empty); ``where`` has a bit for each tier that holds the block."""

    head: Ints
    table: Ints
    key: Ints
    size: Ints
    where: Ints


class Tier(NamedTuple):
    """One tier: its registers, and by slot the links and a number for its eviction policy, dirtiness, prefetch row."""

    reg: Ints
    prev: Ints
    next: Ints
    aux: Ints
    dirty: Ints
    prefetch: Ints


@compiled
def directory(arena: Ints) -> Directory:
    """The block directory of an arena."""
    width = BLOCK_FIELDS + TIER_FIELDS * arena[H_TIERS]
    at = HEADER_SIZE + arena[H_TIERS] * TIER_REGISTERS
    rows = at + arena[H_MASK] + 1
    return Directory(
        arena[:HEADER_SIZE],
        arena[at:rows],
        arena[rows::width],
        arena[rows + 1 :: width],
        arena[rows + 2 :: width],
    )


@compiled
def tier(arena: Ints, level: int) -> Tier:
    """Tier ``level`` of an arena."""
    width = BLOCK_FIELDS + TIER_FIELDS * arena[H_TIERS]
    reg = HEADER_SIZE + level * TIER_REGISTERS
    at = HEADER_SIZE + arena[H_TIERS] * TIER_REGISTERS + arena[H_MASK] + 1 + BLOCK_FIELDS + TIER_FIELDS * level
    return Tier(
        arena[reg : reg + TIER_REGISTERS],
        arena[at::width],
        arena[at + 1 :: width],
        arena[at + 2 :: width],
        arena[at + 3 :: width],
        arena[at + 4 :: width],
    )


def new_arena(n_slots: int, n_tiers: int) -> Ints:
    """An arena of free slots; the tiers' registers and their eviction policies are still to be set up."""
    table_size = 4
    while table_size < 2 * n_slots:
        table_size *= 2
    at = HEADER_SIZE + n_tiers * TIER_REGISTERS
    arena = np.zeros(at + table_size + n_slots * (BLOCK_FIELDS + TIER_FIELDS * n_tiers), np.int64)
    arena[H_SLOTS], arena[H_TIERS], arena[H_MASK] = n_slots, n_tiers, table_size - 1
    # A free slot's size is the next free slot.
    sizes = arena[at + table_size + 1 :: BLOCK_FIELDS + TIER_FIELDS * n_tiers]
    sizes[:] = np.arange(1, n_slots + 1)
    sizes[-1] = NONE
    arena[H_FREE], arena[H_N_FREE] = 0, n_slots
    return arena


def signed(key: int) -> int:
    """A uint64 key as the int64 that the arrays hold."""
    return key - 2**64 if key >= 2**63 else key
