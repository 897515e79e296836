"""One fixed random sequence of keys, over and over: what comes next depends on what came before, not on arithmetic."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from workloads.base import BATCH, KeyGenerator, Keys


class Periodic(KeyGenerator):
    """``period`` keys drawn once from ``n_keys`` with replacement, repeated."""

    def __init__(self, *, period: int, n_keys: int, first_key: int = 0, **common: Any) -> None:
        super().__init__(**common)
        self._period = period
        self._n_keys = n_keys
        self._first_key = first_key

    def keys(self) -> Iterator[Keys]:
        """Endless keys."""
        cycle = self.rng("cycle").integers(0, self._n_keys, self._period).astype(np.uint64)
        cycle += np.uint64(self._first_key)
        while True:
            yield np.tile(cycle, max(BATCH // self._period, 1))
