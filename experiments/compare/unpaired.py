"""Differences of samples that are no pairs: Welch's t."""

import math
from collections.abc import Sequence

import numpy as np

from experiments.compare.seeds import CONFIDENCE, Difference

WELCH = "Welch's t, unpaired"


def welch(ours: Sequence[float], theirs: Sequence[float]) -> Difference:
    """The difference of two means, with Welch's (1947) interval; none where one side is a single sample.

    The spreads may differ, as between traces of one kind they do. ``n`` is of the smaller side, ``effect_size`` over
    the root of the mean of both variances.
    """
    a, b = np.asarray(ours, float), np.asarray(theirs, float)
    n, mean = min(len(a), len(b)), math.fsum(a) / len(a) - math.fsum(b) / len(b)
    if n == 1:
        return Difference(n, mean, method=WELCH)
    variances = float(a.var(ddof=1)), float(b.var(ddof=1))
    of_means = variances[0] / len(a), variances[1] / len(b)
    whole = of_means[0] + of_means[1]
    if whole <= (1e-13 * max(np.abs(a).max(), np.abs(b).max())) ** 2:
        # Each side came out the same again and again, but for rounding: no spread to hold a difference against.
        return Difference(n, 0.0, 0.0, 0.0, 1.0, 0.0, method=WELCH) if mean == 0 else Difference(n, mean, method=WELCH)
    from scipy.special import stdtr, stdtrit

    freedom = whole**2 / (of_means[0] ** 2 / (len(a) - 1) + of_means[1] ** 2 / (len(b) - 1))
    error = math.sqrt(whole)
    half = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * error
    p_value = 2 * float(stdtr(freedom, -abs(mean) / error))
    size = mean / math.sqrt((variances[0] + variances[1]) / 2)
    return Difference(n, mean, mean - half, mean + half, p_value, size, method=WELCH)
