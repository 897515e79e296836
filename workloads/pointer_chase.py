"""A linked list in random order: each key has one successor, and arithmetic does not find it."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from workloads.base import BATCH, KeyGenerator, Keys


class PointerChase(KeyGenerator):
    """A fixed random cycle through all of ``n_keys`` keys, over and over."""

    def __init__(self, *, n_keys: int, first_key: int = 0, **common: Any) -> None:
        super().__init__(**common)
        self._n_keys = n_keys
        self._first_key = first_key

    def keys(self) -> Iterator[Keys]:
        """Endless keys."""
        cycle = self.rng("cycle").permutation(self._n_keys).astype(np.uint64) + np.uint64(self._first_key)
        while True:
            yield np.tile(cycle, max(BATCH // self._n_keys, 1))
