"""Independent keys: uniform, or by rank with a Zipf law. Nothing can be predicted but popularity."""

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from simulator.config import Count
from workloads.base import BATCH, GeneratorSettings, KeyGenerator, Keys


class RandomConfig(GeneratorSettings):
    """Uniform keys."""

    kind: Literal["random"]
    n_keys: Count
    """Different keys, all equally likely."""

    def build(self, seed: int, name: str = "source") -> "Uniform":
        """The workload of a seed."""
        return Uniform(self, seed, name)


class Uniform(KeyGenerator[RandomConfig]):
    """Each of ``n_keys`` keys equally likely at every access."""

    def keys(self) -> Iterator[Keys]:
        """Endless keys."""
        rng, first = self.rng("keys"), self.config.first_key
        while True:
            yield rng.integers(first, first + self.config.n_keys, BATCH, dtype=np.uint64)


class ZipfConfig(GeneratorSettings):
    """Keys by rank with a Zipf law."""

    kind: Literal["zipf"]
    n_keys: Count
    """Different keys."""
    exponent: Annotated[float, Field(ge=0, le=10)] = 1.0
    """How uneven: the key of rank r is accessed in proportion to 1 / r**exponent; 0: all alike."""

    def build(self, seed: int, name: str = "source") -> "Zipf":
        """The workload of a seed."""
        return Zipf(self, seed, name)


class Zipf(KeyGenerator[ZipfConfig]):
    """The key of rank r has a probability in proportion to 1 / r**exponent; ranks are shuffled over the keys."""

    def keys(self) -> Iterator[Keys]:
        """Endless keys."""
        rng, n_keys = self.rng("keys"), self.config.n_keys
        weights = np.arange(1, n_keys + 1, dtype=np.float64) ** -self.config.exponent
        below = np.cumsum(weights / weights.sum())
        below[-1] = 1.0
        key_of_rank = self.rng("ranks").permutation(n_keys).astype(np.uint64) + np.uint64(self.config.first_key)
        while True:
            yield key_of_rank[np.searchsorted(below, rng.random(BATCH), side="right")]
