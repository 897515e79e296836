"""An exact distribution of integers in little memory: each distinct value once, with its count."""

import numpy as np
import numpy.typing as npt

_MIN_BUFFER = 1 << 16


class Distribution:
    """Counts values; simulated latencies repeat, so even a long run has few distinct ones."""

    def __init__(self) -> None:
        self.values: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self.counts: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._waiting: list[npt.NDArray[np.int64]] = []
        self._n_waiting = 0

    def add(self, values: npt.NDArray[np.int64]) -> None:
        """Count some values."""
        self._waiting.append(np.array(values, np.int64))
        self._n_waiting += len(values)
        # Merging costs the number of distinct values: wait until as many new ones have come, so that it stays linear.
        if self._n_waiting >= max(_MIN_BUFFER, len(self.values)):
            self._merge()

    def _merge(self) -> None:
        if not self._waiting:
            return
        new, n_new = np.unique(np.concatenate(self._waiting), return_counts=True)
        self._waiting, self._n_waiting = [], 0
        values, inverse = np.unique(np.concatenate([self.values, new]), return_inverse=True)
        counts = np.zeros(len(values), np.int64)
        np.add.at(counts, inverse, np.concatenate([self.counts, n_new]))
        self.values, self.counts = values, counts

    @property
    def n(self) -> int:
        """How many values were counted."""
        self._merge()
        return int(self.counts.sum())

    def mean(self) -> float:
        """The mean, or NaN of nothing."""
        n = self.n
        return float((self.values * (self.counts / n)).sum()) if n else float("nan")

    def quantile(self, q: float) -> float:
        """The smallest value that at least ``q`` of all do not exceed, or NaN of nothing."""
        n = self.n
        if n == 0:
            return float("nan")
        rank = max(int(np.ceil(q * n)), 1)
        return float(self.values[np.searchsorted(np.cumsum(self.counts), rank)])
