"""Paired differences within one long run: request by request, warm-up cut, moving blocks."""

import math
import warnings

import numpy as np
import numpy.typing as npt

from experiments.compare.seeds import CONFIDENCE, Difference

Floats = npt.NDArray[np.float64]
_BATCH = 5
_RESAMPLES = 2000
# Fewer requests than this after the cut say nothing of how they depend on each other.
MIN_REQUESTS = 200


def mser5(values: Floats) -> int:
    """How many of the first values are warm-up, by MSER-5 (White 1997): a multiple of 5, at most half.

    Of all truncation points of the means of five the one that leaves the smallest standard error of the mean. A
    minimum in the second half means that the run never settled; then half is cut.
    """
    n = len(values) // _BATCH
    if n < 4:
        return 0
    means = values[: n * _BATCH].reshape(n, _BATCH).mean(axis=1)
    left = np.arange(n, 0, -1)
    tail = np.cumsum(means[::-1])[::-1]
    squares = np.cumsum(means[::-1] ** 2)[::-1]
    variance = np.maximum(squares / left - (tail / left) ** 2, 0.0)
    # The last few points leave too little to speak of.
    best = int(np.argmin((variance / left)[: n - 3]))
    return min(best, n // 2) * _BATCH


def block_length(values: Floats) -> int:
    """For moving blocks, from the data: Politis & White (2004) with Patton's correction (2009), in ``arch``."""
    if np.ptp(values) == 0:
        return 1
    from arch.bootstrap import optimal_block_length

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = float(optimal_block_length(values)["circular"].iloc[0])
    return int(min(max(math.ceil(found), 1), len(values) // 4)) if math.isfinite(found) else 1


def moving_block_means(values: Floats, length: int, n_resamples: int, rng: np.random.Generator) -> Floats:
    """Means of resamples that are made of blocks of neighbours (Kuensch 1989), by the blocks' sums."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    blocks = sums[length:] - sums[:-length]
    n_blocks = -(-len(values) // length)
    means = np.empty(n_resamples)
    for i in range(n_resamples):
        means[i] = blocks[rng.integers(len(blocks), size=n_blocks)].sum() / (n_blocks * length)
    return means


def within(arm: Floats, baseline: Floats) -> Difference | None:
    """The mean difference of two runs over the same requests, in order; None where there are too few of them.

    Both are cut where the later of the two has warmed up. The interval is the basic bootstrap one; the p-value takes
    the bootstrap's standard error for that of a normal mean.
    """
    cut = max(mser5(arm), mser5(baseline))
    differences = (arm - baseline)[cut:]
    n = len(differences)
    if n < MIN_REQUESTS:
        return None
    mean = float(differences.mean())
    if np.ptp(differences) == 0:
        return Difference(n, mean, mean, mean, 1.0 if mean == 0 else 0.0, n_warm_up=cut, block_length=1)
    length = block_length(differences)
    means = moving_block_means(differences, length, _RESAMPLES, np.random.default_rng(0))
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    # Blocks take the ends of a run less often than its middle: their means are centred where they are, not at ours.
    centre = float(means.mean())
    error = float(means.std(ddof=1))
    p_value = math.erfc(abs(mean) / error / math.sqrt(2)) if error else 0.0
    return Difference(
        n, mean, mean + centre - float(high), mean + centre - float(low), p_value,
        mean / float(differences.std(ddof=1)), block_length=length, n_warm_up=cut,
    )  # fmt: skip
