"""A distribution of integers in bounded memory: each distinct value once, with its count.

Exact up to MOST distinct values. Where there are more, all are rounded towards 0 to DIGITS binary digits, an error of
less than 1 part in 4096, and there can be no more than some 200,000 of either sign.
"""

import numpy as np
import numpy.typing as npt

from simulator.arrays import Ints, home
from simulator.compiled import compiled, internal

_FIRST = 256
MOST, DIGITS = 1 << 18, 13


@internal
def rounded(value: int) -> int:
    """A value as it is counted where there are too many distinct ones."""
    size = abs(value)
    shift = 0
    while (size >> shift) >= (1 << DIGITS):
        shift += 1
    size = (size >> shift) << shift
    return size if value >= 0 else -size


@internal
def count(table: Ints, at: int, mask: int, value: int, n: int) -> bool:
    """Count a value ``n`` times in the (value, count) pairs from ``at`` on; whether it is new. There is room for it."""
    entry = at + 2 * home(value, mask)
    while table[entry + 1] != 0:
        if table[entry] == value:
            table[entry + 1] += n
            return False
        entry = entry + 2 if entry < at + 2 * mask else at
    table[entry], table[entry + 1] = value, n
    return True


@compiled
def _count_all(table: Ints, values: Ints, first: int, n_used: int, is_rounded: bool) -> tuple[int, int]:
    """Count values from ``first`` on; where it stopped, at the end or half full, and how many pairs are in use."""
    mask = len(table) // 2 - 1
    for i in range(first, len(values)):
        if 2 * n_used > mask:
            return i, n_used
        n_used += count(table, 0, mask, rounded(values[i]) if is_rounded else values[i], 1)
    return len(values), n_used


@compiled
def copy_counts(table: Ints, at: int, mask: int, new: Ints, new_at: int, new_mask: int, is_rounded: bool) -> int:
    """Count in another table, large enough and empty, what one has; how many pairs are in use there."""
    n_used = 0
    for entry in range(at, at + 2 * mask + 2, 2):
        if table[entry + 1] != 0:
            value = rounded(table[entry]) if is_rounded else table[entry]
            n_used += count(new, new_at, new_mask, value, table[entry + 1])
    return n_used


class Distribution:
    """Counts values in a hash table; simulated latencies repeat, so even a long run has few distinct ones."""

    def __init__(self, table: Ints | None = None, total: int = 0) -> None:
        """An empty one, or one over a table's pairs, whose values sum up to ``total``."""
        self._table: Ints = np.zeros(2 * _FIRST, np.int64) if table is None else table
        self._total = total
        self._n_used = int((self._table[1::2] != 0).sum())
        self._is_rounded = False

    def add(self, values: npt.NDArray[np.int64]) -> None:
        """Count some values."""
        values = np.ascontiguousarray(values, np.int64)
        self._total += int(values.sum())
        at = 0
        while True:
            at, self._n_used = _count_all(self._table, values, at, self._n_used, self._is_rounded)
            if at == len(values):
                return
            self._is_rounded = self._is_rounded or self._n_used >= MOST
            larger: Ints = np.zeros(2 * len(self._table), np.int64)
            self._n_used = copy_counts(
                self._table, 0, len(self._table) // 2 - 1, larger, 0, len(larger) // 2 - 1, self._is_rounded
            )
            self._table = larger

    def _sorted(self) -> tuple[Ints, Ints]:
        pairs = self._table.reshape(-1, 2)
        pairs = pairs[pairs[:, 1] != 0]
        pairs = pairs[np.argsort(pairs[:, 0])]
        return pairs[:, 0], pairs[:, 1]

    @property
    def values(self) -> Ints:
        """The distinct values, in order."""
        return self._sorted()[0]

    @property
    def counts(self) -> Ints:
        """How often each of ``values`` came."""
        return self._sorted()[1]

    @property
    def n(self) -> int:
        """How many values were counted."""
        return int(self.counts.sum())

    def mean(self) -> float:
        """The mean, always exact, or NaN of nothing."""
        n = self.n
        return self._total / n if n else float("nan")

    def quantile(self, q: float) -> float:
        """The smallest value that at least ``q`` of all do not exceed, or NaN of nothing."""
        values, counts = self._sorted()
        n = int(counts.sum())
        if n == 0:
            return float("nan")
        rank = max(int(np.ceil(q * n)), 1)
        return float(values[np.searchsorted(np.cumsum(counts), rank)])
