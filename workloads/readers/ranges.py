"""Ranges of bytes as the blocks that they touch; keys of several columns."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Keys = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
GROUP_BITS = 44
"""Of a key of several columns: what the last has to fit into. Above is the number of what the others say."""
_AT_ONCE = 1 << 20
MOST_BLOCKS = 1 << 24
"""That one range may touch."""
_MIX = np.uint64(0x9E3779B97F4A7C15)


class Groups:
    """Numbers combinations of ids by first appearance, from 0, over all batches."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, ...], int] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(self, columns: Sequence[Keys]) -> Keys:
        """The number of each row's combination."""
        codes = np.zeros(len(columns[0]), np.int64)
        for column in columns:
            distinct, places = np.unique(column, return_inverse=True)
            # Small again after each column: products of their numbers would not fit at some point.
            codes = np.unique(codes * len(distinct) + places, return_inverse=True)[1]
        _, first, rows = np.unique(codes, return_index=True, return_inverse=True)
        numbers = np.empty(len(first), np.uint64)
        for at in np.argsort(first, kind="stable").tolist():
            combination = tuple(int(column[first[at]]) for column in columns)
            numbers[at] = self._known.setdefault(combination, len(self._known))
        return numbers[rows]


def mixed(columns: Sequence[Keys]) -> Keys:
    """64 bits of several ids, alike where all are alike; for ids that leave no room for one another.

    Each step multiplies and folds, as splitmix64 does.
    """
    found = np.zeros(len(columns[0]), np.uint64)
    for column in columns:
        found = (found ^ column) * _MIX
        found ^= found >> np.uint64(29)
        found *= np.uint64(0xBF58476D1CE4E5B9)
        found ^= found >> np.uint64(32)
    return found


def touched(first: Keys, last: Keys) -> Iterator[tuple[slice, Keys, Ints]]:
    """(Rows, the blocks that they touch, how many each does), some rows at once, so that memory is bounded."""
    counts = (last - first).astype(np.int64) + 1
    ends = np.cumsum(counts)
    at = 0
    while at < len(counts):
        done = int(ends[at - 1]) if at else 0
        end = max(int(np.searchsorted(ends, done + _AT_ONCE, side="right")), at + 1)
        some = counts[at:end]
        within = np.arange(int(some.sum())) - np.repeat(np.cumsum(some) - some, some)
        yield slice(at, end), np.repeat(first[at:end], some) + within.astype(np.uint64), some
        at = end
