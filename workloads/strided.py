"""Keys in order, ``stride`` apart, for ever or wrapping after ``n_keys``."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from workloads.base import BATCH, KeyGenerator, Keys


class Strided(KeyGenerator):
    """``first_key + stride * i``, with ``i`` taken modulo ``n_keys`` if that is given."""

    def __init__(self, *, stride: int = 1, n_keys: int | None = None, first_key: int = 0, **common: Any) -> None:
        super().__init__(**common)
        self._stride = stride
        self._n_keys = n_keys
        self._first_key = first_key

    def keys(self) -> Iterator[Keys]:
        """Endless keys."""
        at = 0
        while True:
            index = np.arange(at, at + BATCH, dtype=np.uint64)
            if self._n_keys is not None:
                index %= np.uint64(self._n_keys)
            yield np.uint64(self._first_key) + index * np.uint64(self._stride)
            at += BATCH
