"""The next key with one probability, else a uniform one: no predictor beats that probability (plus luck)."""

from collections.abc import Iterator
from typing import Literal

import numpy as np

from simulator.config import Count, Ratio
from workloads.base import BATCH, GeneratorSettings, KeyGenerator, Keys


class MixedConfig(GeneratorSettings):
    """The next key with probability ``next_ratio``, else a uniform one."""

    kind: Literal["mixed"]
    n_keys: Count
    """Different keys."""
    next_ratio: Ratio = 0.7
    """How often the next key follows."""

    def build(self, seed: int, name: str = "source") -> "Mixed":
        """The workload of a seed."""
        return Mixed(self, seed, name)


class Mixed(KeyGenerator[MixedConfig]):
    """``key + 1`` (modulo ``n_keys``) with probability ``next_ratio``, else uniform over all keys."""

    def keys(self) -> Iterator[Keys]:
        """Endless keys."""
        n_keys = self.config.n_keys
        jumps, targets = self.rng("jumps"), self.rng("targets")
        last = int(targets.integers(n_keys))
        while True:
            jump = jumps.random(BATCH) >= self.config.next_ratio
            index = np.arange(BATCH)
            # Each access counts on from the latest jump, or from the end of the batch before.
            since = np.maximum.accumulate(np.where(jump, index, -1))
            target = np.where(jump, targets.integers(0, n_keys, BATCH), 0)
            start = np.where(since >= 0, target[since], last)
            keys = (start + np.where(since >= 0, index - since, index + 1)) % n_keys
            last = int(keys[-1])
            yield (keys + self.config.first_key).astype(np.uint64)
