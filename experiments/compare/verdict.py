"""A comparison in words, and how many samples would settle it."""

import math
from collections.abc import Sequence

import numpy as np

from experiments.compare.seeds import Difference

ALPHA = 0.05
POWER = 0.8
RELEVANT_RATIO = 0.01
"""A difference of so much of the baseline is one that we would want to find."""
BETTER, WORSE, NOT_SHOWN, TOO_FEW = "better", "worse", "no difference shown", "too few samples to tell"
_MOST = 10**9


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (1979) over the arms that are compared; NaN stays, and counts for nothing.

    The same as statsmodels' ``multipletests``, which collects garbage at each call: half a second in a large process.
    """
    p = np.asarray(p_values, float)
    order = np.argsort(p)[: np.count_nonzero(~np.isnan(p))]
    adjusted = np.full(len(p), np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1)
    found: list[float] = adjusted.tolist()
    return found


def verdict(found: Difference, p_holm: float, baseline_mean: float, *, lower_is_better: bool) -> str:
    """Better or worse where Holm's p-value is below 5 %.

    Else, "no difference shown" where the interval excludes a relevant one on both sides, and otherwise "too few
    samples to tell".
    """
    if p_holm < ALPHA:
        return BETTER if (found.mean < 0) == lower_is_better else WORSE
    reach = max(abs(found.low), abs(found.high))
    return NOT_SHOWN if reach <= RELEVANT_RATIO * abs(baseline_mean) else TOO_FEW


def n_to_settle(found: Difference, baseline_mean: float) -> int | None:
    """Pairs for a power of 80 % at 5 %, two-sided: to find the difference seen, or a relevant one if that is larger.

    None where the spread is unknown or nothing is to be found, and where more seeds or more repeats would do. Within a
    run: requests as dependent as these.
    """
    if math.isnan(found.p_value) or found.n < 2 or found.n_repeats > 1:
        return None
    sought = max(abs(found.mean), RELEVANT_RATIO * abs(baseline_mean))
    # The half-width of the interval, not the spread of single pairs: within a run they depend on each other.
    half = (found.high - found.low) / 2
    if sought == 0:
        return None
    if half == 0:
        return 2
    from scipy.special import ndtri, stdtrit

    of_interval = stdtrit(found.n - 1, 1 - ALPHA / 2) if found.block_length is None else ndtri(1 - ALPHA / 2)
    size = sought / (half / float(of_interval) * math.sqrt(found.n))
    return _n_for(size)


def power_of(effect_size: float, n: int) -> float:
    """Of a two-sided paired t-test with ``n`` pairs at 5 %: that it rejects, by the noncentral t distribution."""
    from scipy.special import nctdtr, stdtrit

    # Past 1000 every n has a power of 1 within rounding, and SciPy ends at infinity.
    shift = min(abs(effect_size) * math.sqrt(n), 1000.0)
    critical = -float(stdtrit(n - 1, ALPHA / 2))
    power = 1 - float(nctdtr(n - 1, shift, critical))
    if math.isnan(power):
        # So it may be past a shift of 37. What knows better takes a second to import.
        from scipy import stats

        power = float(stats.nct.sf(critical, n - 1, shift))
    # To fall beyond the other end takes a normal below -shift. From 7 on that is below 1e-11; SciPy may say NaN there.
    return power + float(nctdtr(n - 1, shift, -critical)) if shift < 7 else power


def _n_for(effect_size: float) -> int:
    """The least n of a paired t-test with that power, by bisection."""

    def is_enough(n: int) -> bool:
        return power_of(effect_size, n) >= POWER

    high = 2
    while high < _MOST and not is_enough(high):
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return min(high, _MOST)
