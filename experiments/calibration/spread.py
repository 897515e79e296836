"""How far calls of a kind differ, as the model has it: quantiles of a factor whose mean is 1 (rule R47)."""

import math
from collections.abc import Iterable
from itertools import pairwise

from experiments.calibration.fit import Loads, all_of, typical
from simulator.spread import LEAST_FACTOR, MOST_FACTOR

# Close together where the quantiles of disks and busy machines rise tenfold: a line across is far above them, and what
# that adds to the mean is taken off all factors. With none between 0.99 and 0.999 these were up to 10 % too small.
SHARES = (0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 1.0)
_FIGURES = 5


def spread_of(durations: Iterable[float]) -> list[list[float]]:
    """Points (share, factor) of durations over their mean, with a mean of 1 on the lines between them.

    Of few durations the outermost shares are left out. The last factor is no maximum, which one call in a million would
    decide: it is such that beyond the share before it the mean is that of the durations there.

    Raises:
        ValueError: there is no duration, or one below 0, or none above it.
    """
    import numpy as np

    values = np.sort(np.array(list(durations), float))
    n = len(values)
    if n == 0 or values[0] < 0 or values[-1] == 0:
        raise ValueError(f"expected durations, got {values[:3].tolist()} and so on")
    shares = [share for share in SHARES if share in (0, 1) or min(share, 1 - share) * n >= 1]
    factors = (np.quantile(values, shares) / values.mean()).tolist()
    if len(shares) > 2:
        beyond = values[-max(round((1 - shares[-2]) * n), 1) :].mean() / values.mean()
        factors[-1] = max(float(2 * beyond - factors[-2]), factors[-2])
    mean = mean_of(list(zip(shares, factors, strict=True)))
    kept = [min(max(float(f"{factor / mean:.{_FIGURES}g}"), LEAST_FACTOR), MOST_FACTOR) for factor in factors]
    return [list(point) for point in zip(shares, kept, strict=True)]


def mean_of(points: Iterable[Iterable[float]]) -> float:
    """The mean of what is drawn by such points."""
    return math.fsum((b - a) * (x + y) / 2 for (a, x), (b, y) in pairwise(points))


def factors_of(loads: Loads, most: int) -> list[float]:
    """All calls with up to ``most`` at once, each over the mean of those of as many bytes with as many at once."""
    found: list[float] = []
    for (_, k), rounds in loads.items():
        if k <= most:
            of_cell = all_of(rounds)
            mean = typical(of_cell, "mean")
            found += [ns / mean for ns in of_cell] if mean > 0 else []
    return found
