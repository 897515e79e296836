"""What generators share: accesses made in blocks of a fixed length, so that a trace never depends on batching."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.seeds import generator
from simulator.trace import Batch, make_batch

BATCH = 1 << 16
Keys = npt.NDArray[np.uint64]


class KeyGenerator(ABC):
    """A synthetic workload of one stream: keys in [first_key, ...), all blocks of one size."""

    n_streams = 1
    stream_ids: npt.NDArray[np.uint64] | None = None

    def __init__(self, accesses: int, block_bytes: int, seed: int, name: str, write_ratio: float = 0.0) -> None:
        self.accesses = accesses
        self.block_bytes = block_bytes
        self.seed = seed
        self.name = name
        self.write_ratio = write_ratio

    def length(self) -> int:
        """How many accesses there are."""
        return self.accesses

    @abstractmethod
    def keys(self) -> Iterator[Keys]:
        """Endless keys, in pieces of any length, from the start."""

    def rng(self, purpose: str) -> np.random.Generator:
        """This workload's random numbers for one purpose."""
        return generator(self.seed, "workload", self.name, purpose)

    def batches(self) -> Iterator[Batch]:
        """The trace, from its start."""
        made = 0
        ops = self.rng("ops")
        for piece in self.keys():
            keys = piece[: self.accesses - made]
            columns: dict[str, Any] = {"size_bytes": self.block_bytes}
            if self.write_ratio:
                columns["op"] = ops.random(len(keys)) < self.write_ratio
            yield make_batch(keys, made, **columns)
            made += len(keys)
            if made >= self.accesses:
                return
