"""Durations that spread (rule R47)."""

from bisect import bisect_right
from fractions import Fraction
from math import ceil, floor

from simulator.evictions.draws import scattered
from simulator.seeds import number
from simulator.spread import Spread, scaled

_STEP = 0x9E3779B97F4A7C15


class Factors:
    """A factor for each call of a link, or for each access's service: by its number, not by what came before."""

    def __init__(self, points: Spread, seed: int, *purpose: str) -> None:
        self._shares, self._factors = scaled(points)
        self._first = number(seed, "spread", *purpose)

    def stretch(self, ns: int, i: int) -> int:
        """What takes so long takes this the ``i``-th time: rounded up."""
        return ceil(ns * Fraction(self._of(scattered(self._first + i * _STEP) >> 32), 10**6))

    def _of(self, drawn: int) -> int:
        """In millionths, on the line between two points, rounded down; 31 bits are drawn."""
        i = bisect_right(self._shares, drawn)
        rise, gap = self._factors[i] - self._factors[i - 1], self._shares[i] - self._shares[i - 1]
        return self._factors[i - 1] + floor(Fraction(rise, gap) * (drawn - self._shares[i - 1]))
