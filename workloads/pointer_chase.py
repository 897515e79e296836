"""A linked list in random order: each key has one successor, and arithmetic does not find it."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from workloads.base import BATCH, KeyGenerator, Keys


class PointerChase(KeyGenerator):
    """A fixed random cycle through ``n_keys`` keys that lie ``spacing`` apart, over and over."""

    def __init__(self, *, n_keys: int, spacing: int = 1, first_key: int = 0, **common: Any) -> None:
        super().__init__(**common)
        self._n_keys = n_keys
        self._spacing = spacing
        self._first_key = first_key

    def keys(self) -> Iterator[Keys]:
        """Endless keys."""
        cycle = self.rng("cycle").permutation(self._n_keys).astype(np.uint64)
        cycle = cycle * np.uint64(self._spacing) + np.uint64(self._first_key)
        while True:
            yield np.tile(cycle, max(BATCH // self._n_keys, 1))
