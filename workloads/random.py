"""Independent keys: uniform, or by rank with a Zipf law. Nothing can be predicted but popularity."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from workloads.base import BATCH, KeyGenerator, Keys


class Uniform(KeyGenerator):
    """Each of ``n_keys`` keys equally likely at every access."""

    def __init__(self, *, n_keys: int, first_key: int = 0, **common: Any) -> None:
        super().__init__(**common)
        self._n_keys = n_keys
        self._first_key = first_key

    def keys(self) -> Iterator[Keys]:
        """Endless keys."""
        rng = self.rng("keys")
        while True:
            yield rng.integers(self._first_key, self._first_key + self._n_keys, BATCH, dtype=np.uint64)


class Zipf(KeyGenerator):
    """The key of rank r has a probability in proportion to 1 / r**exponent; ranks are shuffled over the keys."""

    def __init__(self, *, n_keys: int, exponent: float = 1.0, first_key: int = 0, **common: Any) -> None:
        super().__init__(**common)
        self._n_keys = n_keys
        self._exponent = exponent
        self._first_key = first_key

    def keys(self) -> Iterator[Keys]:
        """Endless keys."""
        rng = self.rng("keys")
        weights = np.arange(1, self._n_keys + 1, dtype=np.float64) ** -self._exponent
        below = np.cumsum(weights / weights.sum())
        below[-1] = 1.0
        key_of_rank = self.rng("ranks").permutation(self._n_keys).astype(np.uint64) + np.uint64(self._first_key)
        while True:
            yield key_of_rank[np.searchsorted(below, rng.random(BATCH), side="right")]
