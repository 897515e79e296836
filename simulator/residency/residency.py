"""The residency of all tiers as the engine sees it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from simulator.residency import moves
from simulator.residency.layout import (
    H_N_FREE,
    H_SLOTS,
    HEADER_SIZE,
    NONE,
    R_BLOCKS,
    R_IN,
    R_OUT,
    TIER_REGISTERS,
    Ints,
    signed,
)
from simulator.residency.layout import new_arena as _new_arena
from simulator.residency.names import EVICTION_NAMES

_UINT64 = 2**64
_FIRST_SLOTS = 1024


class Victim(NamedTuple):
    """A block that was evicted: its bytes, dirtiness, prefetch row if never used, the tiers that still hold it."""

    key: int
    size_bytes: int
    dirty: int
    prefetch: int
    where: int


class TierCounts(NamedTuple):
    """Blocks that ever came in, that left, and that are there by the books and by a walk over the directory."""

    n_in: int
    n_out: int
    n_blocks: int
    n_found: int


class Residency:
    """Which of the tiers hold which blocks. Keys are uint64 outside and wrap to int64 in the arrays."""

    def __init__(self, tiers: Sequence[tuple[int, str]], first_slots: int = _FIRST_SLOTS) -> None:
        """Takes (capacity in bytes, name of the eviction policy) of each tier, fastest first."""
        self.arena: Ints = _new_arena(first_slots, len(tiers))
        self.n_tiers = len(tiers)
        self.capacities = [capacity for capacity, _ in tiers]
        self._victims = np.empty((64, moves.VICTIM_COLUMNS), np.int64)
        for level, (capacity, eviction) in enumerate(tiers):
            moves.setup(self.arena, level, EVICTION_NAMES.index(eviction), capacity)

    def where(self, key: int) -> int:
        """A bit for each tier that holds the block: bit 0 is the fastest."""
        return int(moves.locate(self.arena, signed(key)))

    def insert(
        self,
        level: int,
        key: int,
        size: int,
        dirty: int = 0,
        prefetch: int = NONE,
        *,
        report_all: bool = True,
    ) -> list[Victim]:
        """Put a block, which the tier does not hold, into a tier; the victims, in order.

        Without ``report_all`` only those that are dirty or prefetched and unused.
        """
        gone: list[Victim] = []
        while True:
            n = moves.insert(self.arena, level, signed(key), size, dirty, prefetch, self._victims, report_all)
            if n == 0:
                return gone
            if n == moves.NO_SLOT:
                self.reserve(1)
                continue
            rows = self._victims[: n if n > 0 else None].tolist()
            gone += [Victim(row[0] % _UINT64, *row[1:]) for row in rows]
            if n != moves.FULL:
                return gone

    def remove(self, level: int, key: int) -> int:
        """Remove a block from a tier: its dirtiness, or -1 if it was not there."""
        return int(moves.remove(self.arena, level, signed(key)))

    def use(self, level: int, key: int) -> None:
        """A block that a tier holds was read there."""
        moves.use(self.arena, level, signed(key))

    def mark(self, level: int, key: int, dirty: int) -> None:
        """A block that a tier holds is at least so dirty there."""
        moves.mark(self.arena, level, signed(key), dirty)

    def size(self, key: int) -> int:
        """The bytes of a block that some tier holds."""
        return int(moves.size_of(self.arena, signed(key)))

    def reserve(self, n_free: int) -> None:
        """Make sure that so many more blocks can be tracked."""
        if self.arena[H_N_FREE] < n_free:
            n_slots = int(self.arena[H_SLOTS])
            larger = _new_arena(max(2 * n_slots, n_slots + n_free), self.n_tiers)
            moves.copy_into(self.arena, larger)
            self.arena = larger

    def keys(self, level: int) -> set[int]:
        """The blocks of a tier, for checks."""
        return {int(key) % _UINT64 for key in moves.held_keys(self.arena, level)}

    def counts(self, level: int) -> TierCounts:
        """The books of a tier and what is really there."""
        reg = self.arena[HEADER_SIZE + level * TIER_REGISTERS :][:TIER_REGISTERS]
        found = len(moves.held_keys(self.arena, level))
        return TierCounts(int(reg[R_IN]), int(reg[R_OUT]), int(reg[R_BLOCKS]), found)
