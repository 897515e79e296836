"""One fixed random sequence of keys, over and over: what comes next depends on what came before, not on arithmetic."""

from collections.abc import Iterator
from typing import Literal

import numpy as np

from simulator.config import Count
from workloads.base import BATCH, GeneratorSettings, KeyGenerator, Keys


class PeriodicConfig(GeneratorSettings):
    """A fixed random sequence of ``period`` keys, repeated."""

    kind: Literal["periodic"]
    period: Count
    """Accesses after which it repeats."""
    n_keys: Count
    """Keys that they are drawn from."""

    def build(self, seed: int, name: str = "source") -> "Periodic":
        """The workload of a seed."""
        return Periodic(self, seed, name)


class Periodic(KeyGenerator[PeriodicConfig]):
    """``period`` keys drawn once from ``n_keys`` with replacement, repeated."""

    def keys(self) -> Iterator[Keys]:
        """Endless keys."""
        period = self.config.period
        cycle = self.rng("cycle").integers(0, self.config.n_keys, period).astype(np.uint64)
        cycle += np.uint64(self.config.first_key)
        while True:
            yield np.tile(cycle, max(BATCH // period, 1))
