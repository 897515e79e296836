"""The residency of all tiers as the engine sees it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from simulator.arrays import NONE, At, Ints, signed
from simulator.compiled import address_of
from simulator.families import Families
from simulator.records.arena import GHOST, Arena, Tier, Victim
from simulator.records.checked import declare
from simulator.records.lists import clear_all
from simulator.residency import calls, moves
from simulator.residency.hooks import hook_up
from simulator.residency.memory import Part, Plan
from simulator.residency.names import ENTERS_NAMES
from simulator.residency.pinned import PINNED
from simulator.residency.registry import ADMISSIONS, EVICTIONS
from simulator.residency.settings import AdmissionSettings, EvictionSettings, Made

_UINT64 = 2**64
_FIRST_SLOTS = 1024
_VICTIMS = 64


class TierSpec(NamedTuple):
    """A tier: bytes, eviction policy and admission, where prefetched blocks enter.

    The policies are settings, or what a config says of them; ``region_ratio`` is the share of the capacity for
    ``enters: region``; ``n_blocks`` about how many blocks fit, by which sketches are sized (default: blocks of one
    byte); ``pinned`` are the keys that its eviction policy is told before the run (int64).
    """

    capacity: int
    eviction: EvictionSettings | str = "lru"
    admission: AdmissionSettings | str | dict[str, Any] = "all"
    enters: str = "front"
    region_ratio: float = 0
    n_blocks: int | None = None
    pinned: Ints | None = None


class Gone(NamedTuple):
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
        evictions = [EVICTIONS.validate(spec.eviction) for spec in specs]
        admissions = [ADMISSIONS.validate(spec.admission) for spec in specs]
        self.n_tiers = len(specs)
        self._foresees = [level for level, eviction in enumerate(evictions) if eviction.foresees]
        self._knows_families = [level for level, eviction in enumerate(evictions) if eviction.knows_families]
        parts = []
        for spec, eviction, admission in zip(specs, evictions, admissions, strict=True):
            n_blocks = spec.n_blocks or spec.capacity
            areas = eviction.area_words(n_blocks), admission.area_words(n_blocks)
            parts.append(Part(eviction.state, admission.state, eviction.fields, spec.enters != "front", areas))
        self._plan = Plan(parts)
        self.arena: Ints = self._plan.make(first_slots)
        for level, (spec, eviction, admission) in enumerate(zip(specs, evictions, admissions, strict=True)):
            self._set_up(level, spec, eviction, admission, seed + level)
        for level, (spec, eviction) in enumerate(zip(specs, evictions, strict=True)):
            listed = np.array(eviction.pinned, np.uint64).view(np.int64)
            self._remember(level, listed if spec.pinned is None else spec.pinned, PINNED)
        self._victims = np.empty(_VICTIMS * Victim.words, np.int64)
        declare(self._victims, Victim, 0, _VICTIMS)

    def _tier(self, level: int) -> Tier:
        return Tier(self.arena, self._plan.tiers[level])

    def _set_up(
        self, level: int, spec: TierSpec, eviction: EvictionSettings, admission: AdmissionSettings, seed: int
    ) -> None:
        tier = self._tier(level)
        tier.order, tier.capacity, tier.random = eviction.order, spec.capacity, seed
        tier.is_told = eviction.is_told
        tier.enters = ENTERS_NAMES.index(spec.enters)
        clear_all(tier.aside.blocks)
        tier.aside.limit = int(spec.region_ratio * spec.capacity)
        hook_up(tier, eviction.hooks, admission.hooks)
        n_blocks = spec.n_blocks or spec.capacity
        settings: EvictionSettings | AdmissionSettings
        of_eviction, of_admission = self._plan.areas[level]
        for settings, word, area in (
            (eviction, "of_policy", of_eviction), (admission, "of_admission", of_admission),
        ):  # fmt: skip
            if settings.state is not None:
                state = settings.state(self.arena, tier.place + Tier.word(word))
                settings.prepare(state, Made(self.arena, tier, n_blocks, At(area)))

    @property
    def _address(self) -> int:
        return address_of(self.arena)

    def foresee(self, keys: Ints, positions: Ints) -> None:
        """Where each key of the demand stream is used first, for the tiers that read the future (keys as int64)."""
        for level in self._foresees:
            self._remember(level, keys, -positions)

    def _remember(self, level: int, keys: Ints, marks: Ints | int) -> None:
        self.reserve(len(keys))
        calls.remember(self._address, level, keys, np.broadcast_to(np.int64(marks), len(keys)).copy())

    def pin(self, level: int, keys: Sequence[int]) -> None:
        """Before the run: keys (as int64) that stay in a tier."""
        self._remember(level, np.array(keys, np.int64), PINNED)

    def adopt(self, families: Families) -> None:
        """Whose parent each block is, for the tiers that must know."""
        if self._knows_families:
            self.reserve(len(np.union1d(*families)))
            for level in self._knows_families:
                calls.adopt(self._address, level, *families)

    def where(self, key: int) -> int:
        """A bit for each tier that holds the block: bit 0 is the fastest."""
        return int(calls.locate(self._address, signed(key)))

    def insert(
        self,
        level: int,
        key: int,
        size: int,
        dirty: int = 0,
        prefetch: int = NONE,
        *,
        report_all: bool = True,
    ) -> list[Gone]:
        """Put a block, which the tier does not hold, into a tier; the victims, in order.

        Without ``report_all`` only those that are dirty or prefetched and unused.
        """
        gone: list[Gone] = []
        out = address_of(self._victims)
        while True:
            n = calls.insert(self._address, level, signed(key), size, dirty, prefetch, out, _VICTIMS, report_all)
            if n == 0:
                return gone
            if n == moves.NO_SLOT:
                self.reserve(1)
                continue
            rows = Victim.as_rows(self._victims)[: n if n > 0 else None].tolist()
            gone += [Gone(row[0] % _UINT64, *row[1:]) for row in rows]
            if n != moves.FULL:
                return gone

    def remove(self, level: int, key: int) -> int:
        """Remove a block from a tier: its dirtiness, or -1 if it was not there."""
        return int(calls.remove(self._address, level, signed(key)))

    def use(self, level: int, key: int) -> list[Gone]:
        """A block that a tier holds was read there; whom that has pushed out, in order."""
        calls.use(self._address, level, signed(key))
        return self.push_out(level)

    def push_out(self, level: int) -> list[Gone]:
        """Evict whom the last use has pushed out, if that is not yet done."""
        n = calls.push_out(self._address, level, address_of(self._victims))
        return [Gone(row[0] % _UINT64, *row[1:]) for row in Victim.as_rows(self._victims)[:n].tolist()]

    def mark(self, level: int, key: int, dirty: int) -> None:
        """A block that a tier holds is at least so dirty there."""
        calls.mark(self._address, level, signed(key), dirty)

    def size(self, key: int) -> int:
        """The bytes of a block that some tier holds."""
        return int(calls.size_of(self._address, signed(key)))

    def reserve(self, n_free: int) -> None:
        """Make sure that so many more blocks can be tracked."""
        arena = Arena(self.arena, 0)
        if arena.n_free < n_free:
            self.arena = self._plan.enlarge(self.arena, max(2 * arena.n_slots, arena.n_slots + n_free))

    def keys(self, level: int) -> set[int]:
        """The blocks of a tier, for checks."""
        return {int(key) % _UINT64 for key in calls.held_keys(self._address, level)}

    def ghosts(self, level: int) -> set[int]:
        """The blocks that a tier remembers without holding them, for checks."""
        return self.keys(GHOST + level)

    def used_bytes(self, level: int) -> int:
        """What the blocks of a tier take."""
        return self._tier(level).used

    def counts(self, level: int) -> TierCounts:
        """The books of a tier and what is really there."""
        tier = self._tier(level)
        return TierCounts(tier.n_in, tier.n_out, tier.n_blocks, len(calls.held_keys(self._address, level)))
