"""Where a series of latencies has settled: MSER-5."""

import numpy as np
import numpy.typing as npt

_BATCH = 5


def mser5(values: npt.NDArray[np.float64]) -> tuple[int, bool]:
    """How many of the first values are warm-up, by MSER-5 (White 1997), and whether they have settled by then.

    A multiple of 5, at most half.

    Of all truncation points of the means of five the one that leaves the smallest standard error of the mean. A
    minimum in the second half means that the run never settled; then half is cut.
    """
    n = len(values) // _BATCH
    if n < 4:
        return 0, True
    means = values[: n * _BATCH].reshape(n, _BATCH).mean(axis=1)
    left = np.arange(n, 0, -1)
    tail = np.cumsum(means[::-1])[::-1]
    squares = np.cumsum(means[::-1] ** 2)[::-1]
    variance = np.maximum(squares / left - (tail / left) ** 2, 0.0)
    # The last few points leave too little to speak of.
    best = int(np.argmin((variance / left)[: n - 3]))
    return min(best, n // 2) * _BATCH, best <= n // 2
