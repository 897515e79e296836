"""The next key with one probability, else a uniform one: no predictor beats that probability (plus luck)."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from workloads.base import BATCH, KeyGenerator, Keys


class Mixed(KeyGenerator):
    """``key + 1`` (modulo ``n_keys``) with probability ``next_ratio``, else uniform over all keys."""

    def __init__(self, *, n_keys: int, next_ratio: float = 0.7, first_key: int = 0, **common: Any) -> None:
        super().__init__(**common)
        self._n_keys = n_keys
        self._next_ratio = next_ratio
        self._first_key = first_key

    def keys(self) -> Iterator[Keys]:
        """Endless keys."""
        jumps, targets = self.rng("jumps"), self.rng("targets")
        last = int(targets.integers(self._n_keys))
        while True:
            jump = jumps.random(BATCH) >= self._next_ratio
            index = np.arange(BATCH)
            # Each access counts on from the latest jump, or from the end of the batch before.
            since = np.maximum.accumulate(np.where(jump, index, -1))
            target = np.where(jump, targets.integers(0, self._n_keys, BATCH), 0)
            start = np.where(since >= 0, target[since], last)
            keys = (start + np.where(since >= 0, index - since, index + 1)) % self._n_keys
            last = int(keys[-1])
            yield (keys + self._first_key).astype(np.uint64)
