"""Distributions of integers in bounded memory: each distinct value once, with its count, in the machine.

Exact up to MOST distinct values. Where there are more, all are rounded towards 0 to DIGITS binary digits, an error of
less than 1 part in 4096, and there can be no more than some 200,000 of either sign.
"""

import numpy as np

from simulator.arrays import NONE, At, Ints, spot
from simulator.compiled import compiled, internal
from simulator.records.run import Counts, Pair, Run, counts_at, nth_pair, run_at
from simulator.units import LATEST_NS

MOST, DIGITS = 1 << 18, 13


@internal
def _rounded(value: int) -> int:
    """A value as it is counted where there are too many distinct ones."""
    size = abs(value)
    shift = 0
    while (size >> shift) >= (1 << DIGITS):
        shift += 1
    size = (size >> shift) << shift
    return size if value >= 0 else -size


@internal
def _count(run: Run, counts: Counts, value: int, n: int) -> None:
    if counts.is_rounded:
        value = _rounded(value)
    mask = counts.mask
    at = spot(value, mask)
    pair = nth_pair(run, counts.table, at)
    while pair.n != 0:
        if pair.value == value:
            pair.n += n
            return
        at = (at + 1) & mask
        pair = nth_pair(run, counts.table, at)
    pair.value, pair.n = value, n
    counts.n_left -= 1


@internal
def count(run: Run, counts: Counts, value: int) -> None:
    """Count a value. There is room for it."""
    counts.total += value
    if counts.total > LATEST_NS or counts.total < -LATEST_NS:
        run.latest_ns = NONE
    _count(run, counts, value, 1)


@compiled
def move_to(machine: int, place: At[Counts], table: At[Pair], mask: int, is_rounded: bool) -> None:
    """The distribution at that place goes on in another table, which is empty and large enough.

    ``machine`` is the address of the run's memory.
    """
    run = run_at(machine)
    counts = counts_at(run, place)
    old, old_mask = counts.table, counts.mask
    counts.table, counts.mask, counts.n_left, counts.is_rounded = table, mask, (mask + 1) // 2, is_rounded
    for at in range(old_mask + 1):
        pair = nth_pair(run, old, at)
        if pair.n != 0:
            _count(run, counts, pair.value, pair.n)


def _merged(pairs: Ints) -> Ints:
    """The pairs with their values rounded as ``_rounded`` does, each once."""
    sizes = np.abs(pairs[:, 0])
    # Exact: numbers of 53 binary digits and more are far beyond what a run counts, in ns.
    shift = np.maximum(np.frexp(sizes.astype(np.float64))[1] - DIGITS, 0)
    values, places = np.unique(np.sign(pairs[:, 0]) * (sizes >> shift << shift), return_inverse=True)
    return np.column_stack([values, np.bincount(places, pairs[:, 1], len(values)).astype(np.int64)])


class Distribution:
    """What was counted, to be read."""

    def __init__(self, pairs: Ints | None = None, total: int = 0) -> None:
        """Of (value, count) pairs in any order, of which those never counted are left out; ``total`` is their sum."""
        pairs = np.zeros((0, 2), np.int64) if pairs is None else pairs.reshape(-1, 2)
        pairs = pairs[pairs[:, 1] != 0]
        if len(pairs) > MOST:
            # As though it had been known from the start that there would be so many: rounding twice is rounding once.
            pairs = _merged(pairs)
        self.values, self.counts = pairs[np.argsort(pairs[:, 0])].T
        """The distinct values, in order, and how often each of them came."""
        self.n = int(self.counts.sum())
        """How many values were counted."""
        self.total = total

    def mean(self) -> float:
        """The mean, always exact, or NaN of nothing."""
        return self.total / self.n if self.n else float("nan")

    def quantile(self, q: float) -> float:
        """The smallest value that at least ``q`` of all do not exceed, or NaN of nothing."""
        if self.n == 0:
            return float("nan")
        rank = max(int(np.ceil(q * self.n)), 1)
        return float(self.values[np.searchsorted(np.cumsum(self.counts), rank)])
