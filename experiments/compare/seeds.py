"""Paired differences over seeds: Student's t, a bias-corrected bootstrap, effect size."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95
_RESAMPLES = 9999
_MIN_FOR_BOOTSTRAP = 3


@dataclass(frozen=True)
class Difference:
    """The mean of n paired differences with its interval, NaN where there is none, and the p-value of no difference.

    ``effect_size`` is the mean over the standard deviation of the differences (Cohen's d of pairs). ``bca_*`` is
    the bias-corrected and accelerated bootstrap interval (Efron 1987).
    """

    n: int
    mean: float
    low: float = math.nan
    high: float = math.nan
    p_value: float = math.nan
    effect_size: float = math.nan
    bca_low: float = math.nan
    bca_high: float = math.nan
    block_length: int | None = None


def over_seeds(differences: Sequence[float]) -> Difference:
    """The difference over seeds: a pair a seed, at least one."""
    values = np.asarray(differences, float)
    n = len(values)
    mean = math.fsum(values) / n
    if n == 1:
        return Difference(n, mean)
    if np.ptp(values) == 0:
        # Not one seed differs from another: no statistics are needed, and none could be computed.
        p_value = 1.0 if mean == 0 else 0.0
        size = 0.0 if mean == 0 else math.copysign(math.inf, mean)
        return Difference(n, mean, mean, mean, p_value, size, mean, mean)
    from scipy import stats

    found = stats.ttest_1samp(values, 0.0)
    interval = found.confidence_interval(CONFIDENCE)
    bca_low, bca_high = _bca(values)
    return Difference(
        n, mean, float(interval.low), float(interval.high), float(found.pvalue), mean / float(values.std(ddof=1)),
        bca_low, bca_high,
    )  # fmt: skip


def _bca(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    if len(values) < _MIN_FOR_BOOTSTRAP:
        return math.nan, math.nan
    from scipy import stats

    found = stats.bootstrap(
        (values,), np.mean, n_resamples=_RESAMPLES, confidence_level=CONFIDENCE, method="BCa",
        rng=np.random.default_rng(0),
    )  # fmt: skip
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
