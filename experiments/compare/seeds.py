"""Paired differences over seeds and repeats: Student's t, a bias-corrected bootstrap, effect size."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95
PAIRED_T, CROSSED, REPEATS = "paired t over seeds", "random effects of seeds and repeats", "paired t over repeats"
_TAIL = (1 - CONFIDENCE) / 2
_RESAMPLES = 9999
_MIN_FOR_BOOTSTRAP = 3
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Difference:
    """The mean of n paired differences with its interval, NaN where there is none, and the p-value of no difference.

    ``method`` is what the interval is by; n counts seeds, or within a run requests, and ``n_repeats`` is of each seed.
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
    n_repeats: int = 1
    method: str = PAIRED_T


def over_seeds(differences: Sequence[float]) -> Difference:
    """The difference over seeds: a pair a seed, at least one."""
    values = np.asarray(differences, float)
    n = len(values)
    mean = math.fsum(values) / n
    if n == 1:
        return Difference(n, mean)
    if _are_same(values):
        # Not one seed differs from another: no statistics are needed, and none could be computed.
        p_value = 1.0 if mean == 0 else 0.0
        size = 0.0 if mean == 0 else math.copysign(math.inf, mean)
        return Difference(n, mean, mean, mean, p_value, size, mean, mean)
    from scipy.special import stdtr, stdtrit

    # What scipy.stats.ttest_1samp computes, which takes a second to import.
    estimate, error = float(values.mean()), math.sqrt(float(values.var(ddof=1)) / n)
    low, high = (float(stdtrit(n - 1, p)) * error + estimate for p in (_TAIL, 1 - _TAIL))
    p_value = 2 * float(stdtr(n - 1, -abs(estimate / error)))
    return Difference(n, mean, low, high, p_value, mean / float(values.std(ddof=1)), *_bca(values))


def over_runs(differences: npt.NDArray[np.float64]) -> Difference:
    """The difference over seeds (rows) and repeats (columns), where latencies were measured several times.

    A repeat of all seeds is measured before the next one, so that what the machine does for a while is alike in the
    repeat, as what the trace does is in the seed: both are random effects, crossed. With the mean squares of two-way
    analysis of variance, A of seeds, B of repeats, E of the rest, the variance of the mean is (A + B - E) / n, with
    Satterthwaite's (1946) degrees of freedom. Where an effect is too small to be told from the rest that estimate is
    too low; then it is A / n or B / n, whichever is larger, with theirs; E / n where both are 0. One seed: only repeats
    vary.
    """
    s, r = differences.shape
    if r == 1:
        return over_seeds(differences[:, 0].tolist())
    if s == 1 or _are_same(differences):
        found = over_seeds(differences.ravel().tolist())
        return replace(found, n=s, n_repeats=r, method=REPEATS if s == 1 else CROSSED)
    from scipy.special import stdtr, stdtrit

    mean = float(differences.mean())
    of_seed, of_repeat = differences.mean(axis=1), differences.mean(axis=0)
    rest = differences - of_seed[:, None] - of_repeat + mean
    a, b = r * float(of_seed.var(ddof=1)), s * float(of_repeat.var(ddof=1))
    e = float((rest**2).sum()) / ((s - 1) * (r - 1))
    both = a + b - e
    if both >= max(a, b):
        variance = both
        freedom = max(both**2 / (a**2 / (s - 1) + b**2 / (r - 1) + e**2 / ((s - 1) * (r - 1))), min(s - 1, r - 1))
    else:
        variance, freedom = (a, s - 1) if a >= b else (b, r - 1)
    if variance <= _ROUNDING * e:
        # Neither seeds nor repeats differ in their means, though runs do: all there is to go by is how much those do.
        variance, freedom = e, (s - 1) * (r - 1)
    error = math.sqrt(variance / (s * r))
    half = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * error
    p_value = 2 * float(stdtr(freedom, -abs(mean) / error))
    spread = float(differences.std(ddof=1))
    return Difference(s, mean, mean - half, mean + half, p_value, mean / spread, n_repeats=r, method=CROSSED)


def _are_same(values: npt.NDArray[np.float64]) -> bool:
    """Whether values are apart by no more than rounding: then their spread says nothing."""
    return bool(np.ptp(values) <= 1e-13 * np.abs(values).max())


def _bca(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Of the mean, by the resamples that scipy.stats.bootstrap draws: the interval is the same to rounding."""
    n = len(values)
    if n < _MIN_FOR_BOOTSTRAP:
        return math.nan, math.nan
    from scipy.special import ndtr, ndtri

    mean = values.mean()
    means = values[np.random.default_rng(0).integers(0, n, (_RESAMPLES, n))].mean(axis=-1)
    # As many below as above, ties by half.
    bias = ndtri((np.count_nonzero(means < mean) + np.count_nonzero(means <= mean)) / (2 * _RESAMPLES))
    without_one = np.array([np.delete(values, left_out).mean() for left_out in range(n)])
    apart = without_one.mean() - without_one
    acceleration = (apart**3).sum() / (6 * (apart**2).sum() ** 1.5)
    z = bias + np.array([1, -1]) * ndtri(_TAIL)
    low, high = np.quantile(means, ndtr(bias + z / (1 - acceleration * z))).tolist()
    return low, high
