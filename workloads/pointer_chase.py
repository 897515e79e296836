"""A linked list in random order: each key has one successor, and arithmetic does not find it."""

from collections.abc import Iterator
from typing import Literal

import numpy as np

from simulator.config import Count
from workloads.base import BATCH, GeneratorSettings, KeyGenerator, Keys


class PointerChaseConfig(GeneratorSettings):
    """A fixed random cycle through ``n_keys`` keys that lie ``spacing`` apart."""

    kind: Literal["pointer_chase"]
    n_keys: Count
    """Keys of the cycle."""
    spacing: Count = 1
    """Between keys: their neighbours are none of the cycle's where it is above 1."""

    def build(self, seed: int, name: str = "source") -> "PointerChase":
        """The workload of a seed."""
        return PointerChase(self, seed, name)


class PointerChase(KeyGenerator[PointerChaseConfig]):
    """A fixed random cycle through ``n_keys`` keys that lie ``spacing`` apart, over and over."""

    def keys(self) -> Iterator[Keys]:
        """Endless keys."""
        n_keys = self.config.n_keys
        cycle = self.rng("cycle").permutation(n_keys).astype(np.uint64)
        cycle = cycle * np.uint64(self.config.spacing) + np.uint64(self.config.first_key)
        while True:
            yield np.tile(cycle, max(BATCH // n_keys, 1))
