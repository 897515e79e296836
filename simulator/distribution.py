"""An exact distribution of integers in little memory: each distinct value once, with its count."""

import numpy as np
import numpy.typing as npt

from simulator.compiled import compiled
from simulator.residency.blocks import home
from simulator.residency.layout import Ints

_FIRST = 256


@compiled
def count(table: Ints, value: int, n: int) -> bool:
    """Count a value ``n`` times in a table of (value, count); False if the table must grow first."""
    mask = len(table) // 2 - 1
    at = home(value, mask)
    while table[2 * at + 1] != 0:
        if table[2 * at] == value:
            table[2 * at + 1] += n
            return True
        at = (at + 1) & mask
    # The last count is no value's: it has how many there are.
    if 2 * (table[-1] + 1) > mask:
        return False
    table[-1] += 1
    table[2 * at], table[2 * at + 1] = value, n
    return True


@compiled
def _count_all(table: Ints, values: Ints, first: int) -> int:
    for i in range(first, len(values)):
        if not count(table, values[i], 1):
            return i
    return len(values)


@compiled
def _copy(old: Ints, new: Ints) -> None:
    for at in range(0, len(old) - 2, 2):
        if old[at + 1] != 0:
            count(new, old[at], old[at + 1])


class Distribution:
    """Counts values in a hash table; simulated latencies repeat, so even a long run has few distinct ones."""

    def __init__(self) -> None:
        self.table: Ints = np.zeros(2 * _FIRST + 1, np.int64)

    def grow(self) -> None:
        """Make room for more distinct values."""
        larger: Ints = np.zeros(4 * (len(self.table) // 2) + 1, np.int64)
        _copy(self.table, larger)
        self.table = larger

    def add(self, values: npt.NDArray[np.int64]) -> None:
        """Count some values."""
        values = np.ascontiguousarray(values, np.int64)
        at = 0
        while True:
            at = _count_all(self.table, values, at)
            if at == len(values):
                return
            self.grow()

    def _sorted(self) -> tuple[Ints, Ints]:
        pairs = self.table[:-1].reshape(-1, 2)
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
        """The mean, or NaN of nothing."""
        values, counts = self._sorted()
        n = int(counts.sum())
        return float((values * (counts / n)).sum()) if n else float("nan")

    def quantile(self, q: float) -> float:
        """The smallest value that at least ``q`` of all do not exceed, or NaN of nothing."""
        values, counts = self._sorted()
        n = int(counts.sum())
        if n == 0:
            return float("nan")
        rank = max(int(np.ceil(q * n)), 1)
        return float(values[np.searchsorted(np.cumsum(counts), rank)])
