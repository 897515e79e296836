"""The residency of all tiers as the engine sees it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from simulator.arrays import NONE, Ints, signed
from simulator.residency import admission, belady, dispatch, gdsf, hyperbolic, lfu, lfuda, lirs, moves, sketch
from simulator.residency.aside import FIELDS as ASIDE_FIELDS
from simulator.residency.layout import (
    GHOST,
    H_N_FREE,
    H_SLOTS,
    HEADER_SIZE,
    R_ADMISSION,
    R_ADMISSION_VALUE,
    R_AREA,
    R_ASIDE_FIELDS,
    R_ASIDE_LIMIT,
    R_BLOCKS,
    R_ENTERS,
    R_EXTRA,
    R_IN,
    R_ON_REMOVE,
    R_OUT,
    R_SETUP,
    TIER_REGISTERS,
    new_arena,
)
from simulator.residency.names import ADMISSION_NAMES, ENTERS_NAMES, EVICTION_NAMES

_UINT64 = 2**64
_FIRST_SLOTS = 1024
_VICTIMS = 64
# The further fields of a row that a policy needs.
_EXTRAS = {
    "lfu": lfu.EXTRAS, "lfuda": lfuda.EXTRAS, "gdsf": gdsf.EXTRAS, "hyperbolic": hyperbolic.EXTRAS, "lirs": lirs.EXTRAS,
    "belady": belady.EXTRAS,
}  # fmt: skip
# Counts of a sketch are halved after so many uses for each block of the capacity (Einziger et al.).
_SAMPLE_PER_BLOCK = 32


class TierSpec(NamedTuple):
    """A tier: bytes, eviction policy, admission and its parameter, and where prefetched blocks enter.

    ``admission_value`` is a size in bytes (``size``) or a probability (``probabilistic``); ``region_ratio`` the share
    of the capacity for ``enters: region``; ``n_blocks`` about how many blocks fit, by which sketches are sized
    (default: blocks of one byte).
    """

    capacity: int
    eviction: str = "lru"
    admission: str = "all"
    admission_value: float = 0
    enters: str = "front"
    region_ratio: float = 0
    n_blocks: int | None = None


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

    def __init__(self, tiers: Sequence[tuple[Any, ...]], first_slots: int = _FIRST_SLOTS, seed: int = 0) -> None:
        """Takes a TierSpec (or its first values) for each tier, fastest first; ``seed`` is of random draws."""
        specs = [TierSpec(*tier) for tier in tiers]
        of_policies = [_EXTRAS.get(spec.eviction, 0) for spec in specs]
        self._extras = [n + ASIDE_FIELDS * (spec.enters != "front") for n, spec in zip(of_policies, specs, strict=True)]
        words = [sketch.words_for(spec.n_blocks or spec.capacity) for spec in specs]
        of_policy = [n if spec.eviction == "wtinylfu" else 0 for n, spec in zip(words, specs, strict=True)]
        of_admission = [n if spec.admission == "tinylfu" else 0 for n, spec in zip(words, specs, strict=True)]
        self._areas = [a + b for a, b in zip(of_policy, of_admission, strict=True)]
        self.arena: Ints = new_arena(first_slots, self._extras, self._areas)
        self.n_tiers = len(specs)
        self._foresees = [level for level, spec in enumerate(specs) if spec.eviction == "belady"]
        self._victims = np.empty((_VICTIMS, moves.VICTIM_COLUMNS), np.int64)
        for level, spec in enumerate(specs):
            if spec.eviction not in ("lru", "fifo"):
                self._registers(level)[R_SETUP : R_ON_REMOVE + 1] = dispatch.functions()
            moves.setup(self.arena, level, EVICTION_NAMES.index(spec.eviction), spec.capacity, seed + level)
            registers = self._registers(level)
            registers[R_ADMISSION] = ADMISSION_NAMES.index(spec.admission)
            registers[R_ENTERS] = ENTERS_NAMES.index(spec.enters)
            registers[R_ASIDE_FIELDS] = registers[R_EXTRA] + of_policies[level]
            registers[R_ASIDE_LIMIT] = int(spec.region_ratio * spec.capacity)
            area = int(registers[R_AREA])
            for n_words in (of_policy[level], of_admission[level]):
                if n_words:
                    n_blocks = spec.n_blocks or spec.capacity
                    sketch.setup(self.arena, area, sketch.width_for(n_blocks), _SAMPLE_PER_BLOCK * n_blocks)
                    registers[R_ADMISSION_VALUE] = area
                area += n_words
            if spec.admission == "size":
                registers[R_ADMISSION_VALUE] = int(spec.admission_value)
            elif spec.admission == "probabilistic":
                registers[R_ADMISSION_VALUE] = round(spec.admission_value * admission.PARTS)

    def _registers(self, level: int) -> Ints:
        return self.arena[HEADER_SIZE + level * TIER_REGISTERS :][:TIER_REGISTERS]

    def foresee(self, keys: Ints, positions: Ints) -> None:
        """Where each key of the demand stream is used first, for the tiers that read the future (keys as int64)."""
        if self._foresees:
            self.reserve(len(keys))
            for level in self._foresees:
                moves.foresee(self.arena, level, keys, positions)

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
            out = self._victims.reshape(-1)
            n = moves.insert(self.arena, level, signed(key), size, dirty, prefetch, out, 0, _VICTIMS, report_all)
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
            larger = new_arena(max(2 * n_slots, n_slots + n_free), self._extras, self._areas)
            moves.copy_into(self.arena, larger)
            self.arena = larger

    def keys(self, level: int) -> set[int]:
        """The blocks of a tier, for checks."""
        return {int(key) % _UINT64 for key in moves.held_keys(self.arena, level)}

    def ghosts(self, level: int) -> set[int]:
        """The blocks that a tier remembers without holding them, for checks."""
        return {int(key) % _UINT64 for key in moves.held_keys(self.arena, GHOST + level)}

    def counts(self, level: int) -> TierCounts:
        """The books of a tier and what is really there."""
        reg = self._registers(level)
        found = len(moves.held_keys(self.arena, level))
        return TierCounts(int(reg[R_IN]), int(reg[R_OUT]), int(reg[R_BLOCKS]), found)
