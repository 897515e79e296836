"""Distributions of times in bounded memory."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

_PER_OCTAVE_BITS = 6
_SHIFT = 52 - _PER_OCTAVE_BITS
_BASE = 1023 << _PER_OCTAVE_BITS
_N = 64 << _PER_OCTAVE_BITS
_POINTS = 120
Floats = npt.NDArray[np.float64]


class Histogram:
    """Counts of whole numbers in 64 bins an octave, those below zero apart.

    A bin stands for the mean of what is in it: exact where that is one value, else off by 1 % at most.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(2 * _N, np.int64)
        self._sums = np.zeros(2 * _N)

    def add(self, values: npt.NDArray[np.int64]) -> None:
        """Some more."""
        if len(values) == 0:
            return
        size = np.abs(values).astype(np.float64)
        # A float's bits grow with it: its exponent, then the first bits behind the point.
        bins = np.where(size < 1, 0, (size.view(np.int64) >> _SHIFT) - _BASE + 1)
        places = np.where(values < 0, _N - 1 - bins, _N + bins)
        self._counts += np.bincount(places, minlength=2 * _N)
        self._sums += np.bincount(places, values.astype(np.float64), 2 * _N)

    @property
    def n(self) -> int:
        """How many values there are."""
        return int(self._counts.sum())

    @property
    def mean(self) -> float | None:
        """The exact mean; None of nothing."""
        return float(self._sums.sum() / self.n) if self.n else None

    def _steps(self) -> tuple[Floats, npt.NDArray[np.int64]]:
        there = np.flatnonzero(self._counts)
        return self._sums[there] / self._counts[there], np.cumsum(self._counts[there])

    def quantile(self, share: float) -> float | None:
        """The smallest value that so many do not exceed; None of nothing."""
        values, below = self._steps()
        if len(values) == 0:
            return None
        return float(values[np.searchsorted(below, max(1, math.ceil(share * below[-1] - 1e-9)))])

    def points(self, most: int = _POINTS) -> list[tuple[float, float]]:
        """Values with the share that does not exceed them: all, or so many, as close at the tail as elsewhere."""
        values, below = self._steps()
        if len(values) == 0:
            return []
        share = below / below[-1]
        wanted: Any = range(len(values))
        if len(values) > most:
            tail = 1 - np.geomspace(1, 1 / (2 * below[-1]), most // 2)
            places = np.searchsorted(share, np.concatenate([np.linspace(0, 1, most // 2), tail]))
            wanted = np.unique(np.append(np.minimum(places, len(values) - 1), [0, len(values) - 1]))
        return [(float(values[i]), float(share[i])) for i in wanted]
