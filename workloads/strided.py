"""Keys in order, ``stride`` apart, for ever or wrapping after ``n_keys``."""

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np

from simulator.config import Count
from workloads.base import BATCH, GeneratorSettings, KeyGenerator, Keys


class SequentialConfig(GeneratorSettings):
    """Keys in order; wraps after ``n_keys`` if given."""

    kind: Literal["sequential"]
    n_keys: Count | None = None
    """Keys after which it starts again; null: never."""
    stride: ClassVar[int] = 1

    def build(self, seed: int, name: str = "source") -> "Strided":
        """The workload of a seed."""
        return Strided(self, seed, name)


class StridedConfig(GeneratorSettings):
    """Keys ``stride`` apart; wraps after ``n_keys`` of them if given."""

    kind: Literal["strided"]
    stride: Count
    """Between keys."""
    n_keys: Count | None = None
    """Keys after which it starts again; null: never."""

    def build(self, seed: int, name: str = "source") -> "Strided":
        """The workload of a seed."""
        return Strided(self, seed, name)


class Strided(KeyGenerator[SequentialConfig | StridedConfig]):
    """``first_key + stride * i``, with ``i`` taken modulo ``n_keys`` if that is given."""

    def keys(self) -> Iterator[Keys]:
        """Endless keys."""
        at = 0
        while True:
            index = np.arange(at, at + BATCH, dtype=np.uint64)
            if self.config.n_keys is not None:
                index %= np.uint64(self.config.n_keys)
            yield np.uint64(self.config.first_key) + index * np.uint64(self.config.stride)
            at += BATCH
