"""The sizes of a trace's blocks, and whether a block keeps its own from access to access."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from simulator.trace import MOST_BYTES, Batch, Workload

_MERGE_EVERY = 1 << 20
Keys = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Sizes:
    """The smallest size in bytes; how many keys come in several, and of the one with the widest range key and range."""

    smallest: int
    n_resized: int = 0
    widest: tuple[int, int, int] | None = None


class Ranges:
    """Takes a trace batch by batch. Memory grows with its distinct keys."""

    def __init__(self) -> None:
        self._keys: Keys = np.empty(0, np.uint64)
        self._low: Bytes = np.empty(0, np.int64)
        self._high: Bytes = np.empty(0, np.int64)
        self._pending: list[Batch] = []
        self._n_pending = 0

    def add(self, batch: Batch) -> None:
        """The next accesses."""
        self._pending.append(batch)
        self._n_pending += len(batch)
        if self._n_pending >= _MERGE_EVERY:
            self._merge()

    def _merge(self) -> None:
        self._keys, self._low, self._high = _merged(self._keys, self._low, self._high, self._pending)
        self._pending, self._n_pending = [], 0

    def sizes(self) -> Sizes:
        """Of all that was added, which is at least one access."""
        self._merge()
        n_resized = int(np.count_nonzero(self._low < self._high))
        at = int(np.argmax(self._high - self._low))
        widest = int(self._keys[at]), int(self._low[at]), int(self._high[at])
        return Sizes(int(self._low.min()), n_resized, widest if n_resized else None)


def sizes_of(workload: Workload) -> Sizes:
    """Of a whole trace, which is gone through once, and twice where blocks have several sizes."""
    smallest, largest = MOST_BYTES, 0
    for batch in workload.batches():
        if len(batch):
            smallest = min(smallest, int(batch.size_bytes.min()))
            largest = max(largest, int(batch.size_bytes.max()))
    if smallest >= largest:
        return Sizes(smallest)
    ranges = Ranges()
    for batch in workload.batches():
        ranges.add(batch)
    return ranges.sizes()


def _merged(keys: Keys, low: Bytes, high: Bytes, batches: list[Batch]) -> tuple[Keys, Bytes, Bytes]:
    """Ranges with those of further accesses."""
    sizes = [batch.size_bytes for batch in batches]
    keys = np.concatenate([keys, *(batch.key for batch in batches)])
    low, high = np.concatenate([low, *sizes]), np.concatenate([high, *sizes])
    order = np.argsort(keys, kind="stable")
    keys, low, high = keys[order], low[order], high[order]
    first = np.flatnonzero(np.diff(keys, prepend=~keys[:1]))
    return keys[first], np.minimum.reduceat(low, first), np.maximum.reduceat(high, first)
