"""A compiled eviction policy in the place of a readable one: a tier of its own in an arena of its own."""

import numpy as np

from simulator.arrays import Ints, signed
from simulator.compiled import compiled
from simulator.evictions.base import Eviction
from simulator.residency import belady
from simulator.residency.residency import Residency, TierSpec


@compiled
def _passed(a: Ints, key: int, following: int) -> None:
    belady.passed(a, key, following)


class Compiled(Eviction):
    """Whatever ``simulator.residency`` has, as an ``Eviction``."""

    def __init__(self, kind: str, spec: TierSpec, seed: int) -> None:
        """One tier: its policy by name, and what ``Residency`` takes."""
        self.foresees = kind == "belady"
        self._tier = Residency([spec], seed=seed)

    def __contains__(self, key: int) -> bool:
        return self._tier.where(key) != 0

    def keys(self) -> set[int]:
        """The blocks that are held."""
        return self._tier.keys(0)

    def request(self, key: int, size: int, *, prefetched: bool = False) -> list[int] | None:
        """Use a block if it is held, else take it in; see ``Eviction``."""
        if self._tier.where(key):
            self._tier.use(0, key)
            return None
        # A prefetch's number is all that tells a prefetched block from another; any will do.
        return [victim.key for victim in self._tier.insert(0, key, size, prefetch=0 if prefetched else -1)]

    def remove(self, key: int) -> None:
        """Take out a block that is held."""
        self._tier.remove(0, key)

    def foresee(self, first_uses: dict[int, int]) -> None:
        """Before the run: where each key is used first."""
        keys = np.fromiter(first_uses, np.uint64, len(first_uses)).view(np.int64)
        self._tier.foresee(keys, np.fromiter(first_uses.values(), np.int64, len(first_uses)))

    def passed(self, key: int, next_use: int) -> None:
        """An access is issued; its key is used next there."""
        _passed(self._tier.arena, signed(key), next_use)


def make(
    kind: str, capacity: int, *, seed: int = 0, n_blocks: int | None = None, admission: str = "all",
    admission_value: float = 0, enters: str = "front", region_ratio: float = 0.0,
) -> Eviction:  # fmt: skip
    """As ``registry.make``."""
    spec = TierSpec(capacity, kind, admission, admission_value, enters, region_ratio, n_blocks)
    return Compiled(kind, spec, seed)
