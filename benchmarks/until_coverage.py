"""What looking again and again does to the intervals of ``--until``: how often they cover the truth, by simulation.

``python -m benchmarks.until_coverage``: differences of many kinds are drawn, seeds are added by the very rule, and
beside it by a naive one (a look at every seed from the third on), and counted is how often the mean over the seeds is
within half the width that was asked, and how often the interval that is reported covers the truth.
"""

import argparse
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from experiments.compare import seeds
from experiments.compare.seeds import over_seeds
from experiments.until.looks import seeds_needed
from experiments.until.targets import LEAST_SEEDS

MOST = 400
KINDS: dict[str, Callable[[np.random.Generator], Any]] = {
    "normal": lambda draw: draw.normal(size=MOST),
    "uniform": lambda draw: (draw.random(MOST) - 0.5) * math.sqrt(12),
    "lognormal(0.6)": lambda draw: _lognormal(draw, 0.6),
    "exponential": lambda draw: draw.exponential(size=MOST) - 1,
}
"""Of mean 0 and variance 1."""


def _lognormal(draw: np.random.Generator, sigma: float) -> Any:
    mean, spread = math.exp(sigma**2 / 2), math.sqrt((math.exp(sigma**2) - 1) * math.exp(sigma**2))
    return (draw.lognormal(0, sigma, MOST) - mean) / spread


def by_rule(values: Any, width: float) -> int:
    """So many seeds ``--until`` takes."""
    n = LEAST_SEEDS
    while n < MOST:
        found = over_seeds(values[:n])
        needed = seeds_needed(found.high - found.low, width, n)
        if needed <= n:
            break
        n = int(min(needed, 2 * n, MOST))
    return n


def naively(values: Any, width: float) -> int:
    """So many it takes to look at every seed, and stop at the first interval that is narrow."""
    for n in range(3, MOST):
        found = over_seeds(values[:n])
        if found.high - found.low < width:
            return n
    return MOST


def main() -> None:
    """Print a line for each kind of differences, width and rule."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=4000, help="so many studies of each kind")
    n_studies = parser.parse_args().n
    # The bootstrap's interval is no part of it, and takes longest.
    seeds._bca = lambda values: (math.nan, math.nan)
    for kind, drawn in KINDS.items():
        for width in (1.5, 1.0, 0.7):
            for name, rule in (("--until", by_rule), ("naive", naively)):
                draw = np.random.default_rng(0)
                within = covered = total = 0
                for _ in range(n_studies):
                    values = drawn(draw)
                    n = rule(values, width)
                    found = over_seeds(values[:n])
                    within += abs(found.mean) <= width / 2
                    covered += found.low <= 0 <= found.high
                    total += n
                print(
                    f"{kind}, width {width} sd, {name}: {total / n_studies:.1f} seeds, within the width asked "
                    f"{within / n_studies:.3f}, covered by the interval {covered / n_studies:.3f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
