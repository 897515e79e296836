"""A workload whose blocks all have one size, whatever another one says of theirs."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from simulator.trace import Batch, Workload
from workloads.base import BlockBytes
from workloads.combine import OfOthers
from workloads.registry import Source


class ResizedConfig(OfOthers):
    """The accesses of another with blocks of one size, as caches of fixed blocks, and real machines, have them."""

    kind: Literal["resized"]
    source: Source
    """The workload whose accesses they are."""
    block: BlockBytes
    """The size of every block."""

    def build(self, seed: int, name: str = "source") -> "Resized":
        """The workload of a seed: its keys are the other's."""
        return Resized(self.source.build(seed, name), self.block)

    @property
    def made_of(self) -> tuple["Source", ...]:
        """The other."""
        return (self.source,)

    @property
    def has_times(self) -> bool:
        """As the other."""
        return self.source.has_times

    @property
    def experts_of_layer(self) -> int:
        """As the other."""
        return self.source.experts_of_layer


class Resized:
    """All of another workload, but for the sizes of its blocks."""

    def __init__(self, other: Workload, block: int) -> None:
        self._other, self._block = other, block

    @property
    def made_of(self) -> Sequence[Workload]:
        """The other."""
        return (self._other,)

    @property
    def n_streams(self) -> int:
        """As the other has."""
        return self._other.n_streams

    @property
    def stream_ids(self) -> npt.NDArray[np.uint64] | None:
        """As the other has them."""
        return self._other.stream_ids

    def length(self) -> int:
        """How many accesses there are."""
        return self._other.length()

    def phases(self) -> list[tuple[int, str]]:
        """As the other has them."""
        found: list[tuple[int, str]] = getattr(self._other, "phases", list)()
        return found

    def batches(self) -> Iterator[Batch]:
        """The trace, from its start."""
        for batch in self._other.batches():
            yield replace(batch, size_bytes=np.full(len(batch), self._block, np.int64))
