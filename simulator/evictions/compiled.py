"""A compiled eviction policy in the place of a readable one: a tier of its own in an arena of its own."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from simulator.arrays import signed
from simulator.compiled import address_of, compiled
from simulator.evictions.base import Eviction
from simulator.families import Families
from simulator.records.arena import Arena
from simulator.records.record import first
from simulator.residency import belady
from simulator.residency.registry import EVICTIONS
from simulator.residency.residency import Residency, TierSpec

_arena_at = first(Arena)


@compiled
def _passed(arena: int, key: int, next_use: int) -> None:
    belady.passed(_arena_at(arena), key, next_use)


class Compiled(Eviction):
    """Whatever ``simulator.residency`` has, as an ``Eviction``."""

    def __init__(self, spec: TierSpec, seed: int) -> None:
        """One tier, as ``Residency`` takes it."""
        chosen = EVICTIONS.validate(spec.eviction)
        self.foresees, self.knows_families = chosen.foresees, chosen.knows_families
        self._tier = Residency([spec], seed=seed)
        self._pushed_out: list[int] = []

    def __contains__(self, key: int) -> bool:
        return self._tier.where(key) != 0

    def keys(self) -> set[int]:
        """The blocks that are held."""
        return self._tier.keys(0)

    def request(self, key: int, size: int, *, prefetched: bool = False) -> list[int] | None:
        """Use a block if it is held, else take it in; see ``Eviction``."""
        if self._tier.where(key):
            self._pushed_out = [victim.key for victim in self._tier.use(0, key)]
            return None
        # A prefetch's number is all that tells a prefetched block from another; any will do.
        return [victim.key for victim in self._tier.insert(0, key, size, prefetch=0 if prefetched else -1)]

    def push_out(self) -> list[int]:
        """Whom the last use has pushed out."""
        gone, self._pushed_out = self._pushed_out, []
        return gone

    def remove(self, key: int) -> None:
        """Take out a block that is held."""
        self._tier.remove(0, key)

    def foresee(self, first_uses: dict[int, int]) -> None:
        """Before the run: where each key is used first."""
        keys = np.fromiter(first_uses, np.uint64, len(first_uses)).view(np.int64)
        self._tier.foresee(keys, np.fromiter(first_uses.values(), np.int64, len(first_uses)))

    def pin(self, keys: Iterable[int]) -> None:
        """Before the run: these were accessed most before what is judged."""
        self._tier.pin(0, [signed(key) for key in keys])

    def adopt(self, parents: dict[int, int]) -> None:
        """Before the run: whose parent each key is."""
        keys, theirs = (np.fromiter(of, np.uint64, len(parents)).view(np.int64) for of in (parents, parents.values()))
        self._tier.adopt(Families(keys, theirs))

    def passed(self, key: int, next_use: int) -> None:
        """An access is issued; its key is used next there."""
        _passed(address_of(self._tier.arena), signed(key), next_use)


def make(
    eviction: Any, capacity: int, *, seed: int = 0, n_blocks: int | None = None, admission: Any = "all",
    enters: str = "front", region_ratio: float = 0.0,
) -> Eviction:  # fmt: skip
    """As ``registry.make``."""
    return Compiled(TierSpec(capacity, eviction, admission, enters, region_ratio, n_blocks), seed)
