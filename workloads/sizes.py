"""The sizes of a trace's blocks, and whether a block keeps its own from access to access."""

from collections.abc import Iterator
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


def sizes_of(workload: Workload) -> Sizes:
    """Of a whole trace, which is gone through once, and twice where blocks have several sizes."""
    smallest, largest = MOST_BYTES, 0
    for batch in workload.batches():
        if len(batch):
            smallest = min(smallest, int(batch.size_bytes.min()))
            largest = max(largest, int(batch.size_bytes.max()))
    if smallest >= largest:
        return Sizes(smallest)
    keys, low, high = _ranges(workload.batches())
    n_resized = int(np.count_nonzero(low < high))
    at = int(np.argmax(high - low))
    return Sizes(smallest, n_resized, (int(keys[at]), int(low[at]), int(high[at])) if n_resized else None)


def _ranges(batches: Iterator[Batch]) -> tuple[Keys, Bytes, Bytes]:
    """Each key, in order, with its smallest and its largest size."""
    keys, low, high = np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int64)
    pending: list[Batch] = []
    for batch in batches:
        pending.append(batch)
        if sum(map(len, pending)) >= _MERGE_EVERY:
            keys, low, high = _merged(keys, low, high, pending)
            pending = []
    return _merged(keys, low, high, pending)


def _merged(keys: Keys, low: Bytes, high: Bytes, batches: list[Batch]) -> tuple[Keys, Bytes, Bytes]:
    """Ranges with those of further accesses."""
    sizes = [batch.size_bytes for batch in batches]
    keys = np.concatenate([keys, *(batch.key for batch in batches)])
    low, high = np.concatenate([low, *sizes]), np.concatenate([high, *sizes])
    order = np.argsort(keys, kind="stable")
    keys, low, high = keys[order], low[order], high[order]
    first = np.flatnonzero(np.diff(keys, prepend=~keys[:1]))
    return keys[first], np.minimum.reduceat(low, first), np.maximum.reduceat(high, first)
