"""Paired differences within one long run: request by request, in moving blocks."""

import math

import numpy as np
import numpy.typing as npt

from experiments.compare.seeds import CONFIDENCE, Difference

Floats = npt.NDArray[np.float64]
_RESAMPLES = 2000
_DRAWS_AT_ONCE = 1 << 18
BLOCKS = "moving blocks of requests"
# Fewer requests than this say nothing of how they depend on each other.
MIN_REQUESTS = 200
# max(5, sqrt(log10 n)) of Politis & White: 5 for whatever fits in a computer.
_INSIGNIFICANT = 5


def block_length(values: Floats) -> int:
    """For moving blocks, from the data: what ``optimal_block_length`` says, whole, and at most a quarter of them."""
    found = optimal_block_length(values)
    return int(min(max(math.ceil(found), 1), len(values) // 4)) if math.isfinite(found) else 1


def optimal_block_length(values: Floats, *, stationary: bool = False) -> float:
    """The length that makes the bootstrap's variance of a mean least wrong: Politis & White (2004), section 3.

    With the correction of Patton, Politis & White (2009), for blocks of one length (circular, moving), or for those of
    the ``stationary`` bootstrap; NaN where nothing tells (values that are all the same). With R(k) the autocovariance:
    ``g = sum |k| R(k)`` and ``s = sum R(k)``, both with the flat-top window's weights over ``|k| <= M``, the length is
    ``(2 g**2 / d * n) ** (1/3)`` with ``d = 4/3 s**2``, stationary ``2 s**2``. M is twice the lag from which on
    correlations are none to speak of (``_covariances``).
    """
    if np.ptp(values) == 0:
        return math.nan
    n = len(values)
    covariances = _covariances(values - values.mean())
    m = len(covariances) - 1
    lags = np.arange(m + 1)
    # Counted for both signs of k. The window of Politis & Romano (1995): 1 up to M / 2, then down to 0 at M.
    weights = 2 * np.minimum(1.0, 2 * (1 - lags / m))
    weights[0] = 1.0
    g = float(weights @ (lags * covariances))
    d = (2 if stationary else 4 / 3) * float(weights @ covariances) ** 2
    longest = math.ceil(min(3 * math.sqrt(n), n / 3))
    if d == 0:
        return math.nan if g == 0 else float(longest)
    return float(min((2 * g**2 / d * n) ** (1 / 3), longest))


def _covariances(centred: Floats) -> Floats:
    """Of lags 0 to M: M is twice the first lag of five in a row whose correlations are within noise of 0.

    Correlations are those of the stretches that overlap, and the first of the five is taken, not the one before, as in
    Patton's own program and in ``arch``. No five up to the square root of n: M is that, and five more.
    """
    n = len(centred)
    most = math.ceil(math.sqrt(n)) + _INSIGNIFICANT
    band = 2 * math.sqrt(math.log10(n) / n)
    found: list[float] = []
    m, n_within = most, 0
    for lag in range(most + 1):
        if lag > m:
            break
        product = float(centred[lag:] @ centred[: n - lag])
        found.append(product / n)
        if n_within < _INSIGNIFICANT:
            later, earlier = centred[lag + 1 :], centred[: n - lag - 1]
            is_within = abs(product) < band * math.sqrt((later @ later) * (earlier @ earlier))
            n_within = n_within + 1 if is_within else 0
            if n_within == _INSIGNIFICANT and lag < most:
                m = min(2 * max(lag - _INSIGNIFICANT + 1, 1), most)
    return np.array(found[: m + 1])


def moving_block_means(values: Floats, length: int, n_resamples: int, rng: np.random.Generator) -> Floats:
    """Means of resamples that are made of blocks of neighbours (Kuensch 1989), by the blocks' sums."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    blocks = sums[length:] - sums[:-length]
    n_blocks = -(-len(values) // length)
    means = np.empty(n_resamples)
    # Many resamples at a time, and not more than memory is for: drawn at once they are those that are drawn singly.
    n_at_once = max(_DRAWS_AT_ONCE // n_blocks, 1)
    for first in range(0, n_resamples, n_at_once):
        part = means[first : first + n_at_once]
        part[:] = blocks[rng.integers(len(blocks), size=(len(part), n_blocks))].sum(axis=1) / (n_blocks * length)
    return means


def within(arm: Floats, baseline: Floats) -> Difference | None:
    """The mean difference of two runs over the same requests, in order; None where there are too few of them.

    The interval is the basic bootstrap one; the p-value takes
    the bootstrap's standard error for that of a normal mean.
    """
    differences = arm - baseline
    n = len(differences)
    if n < MIN_REQUESTS:
        return None
    mean = float(differences.mean())
    if np.ptp(differences) == 0:
        return Difference(n, mean, mean, mean, 1.0 if mean == 0 else 0.0, block_length=1, method=BLOCKS)
    length = block_length(differences)
    means = moving_block_means(differences, length, _RESAMPLES, np.random.default_rng(0))
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    # Blocks take the ends of a run less often than its middle: their means are centred where they are, not at ours.
    centre = float(means.mean())
    error = float(means.std(ddof=1))
    p_value = math.erfc(abs(mean) / error / math.sqrt(2)) if error else 0.0
    return Difference(
        n, mean, mean + centre - float(high), mean + centre - float(low), p_value,
        mean / float(differences.std(ddof=1)), block_length=length, method=BLOCKS,
    )  # fmt: skip
