"""What arms of several slices of a trace come to: means, intervals, and verdicts against the trace's best classic.

The statistics are those of ``comparisons`` (docs/metrics.md). Over slices: Student's t of a value a slice, the mean of
its training seeds; of a trace that is one slice, over the seeds. Within a run: its requests, in moving blocks.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from experiments.compare.seeds import Difference, over_seeds
from experiments.compare.verdict import BETTER, NOT_SHOWN, TOO_FEW, WORSE, holm, verdict
from experiments.compare.within import within

Floats = npt.NDArray[np.float64]
ORACLE, NONE = "oracle", "none"


@dataclass(frozen=True)
class Slice:
    """What was run of a part of a trace: for each arm a mean latency and its requests' latencies, one a seed.

    An arm in which nothing is drawn has one seed.
    """

    first: int
    means: dict[str, list[float]]
    requests: dict[str, list[Floats]] = field(default_factory=dict)

    def shares(self, arm: str) -> list[float]:
        """Mean latency over that without prefetching, by seed."""
        return [mean / self.means[NONE][0] for mean in self.means[arm]]

    def share(self, arm: str) -> float:
        """The mean of these."""
        shares = self.shares(arm)
        return math.fsum(shares) / len(shares)


@dataclass(frozen=True)
class Standing:
    """An arm on a trace. Shares are of ``none``'s mean latency; ``possible`` is of what the oracle saves."""

    arm: str
    share: Difference
    least: float
    most: float
    possible: float
    against: Difference
    over_best: float
    verdict: str
    by_request: dict[str, int]
    """How many of its runs are what, each against the best classic's over the same requests."""


def mean_share(slices: Sequence[Slice], arm: str) -> float:
    """Over slices, each counting as much."""
    return math.fsum(one.share(arm) for one in slices) / len(slices)


def best_of(slices: Sequence[Slice], arms: Iterable[str]) -> str:
    """The arm with the least mean share, of equal ones the first."""
    return min(arms, key=lambda arm: mean_share(slices, arm))


def standings(slices: Sequence[Slice], arms: Sequence[str], best: str) -> list[Standing]:
    """Each arm against one other; Holm's correction is over the arms, over slices as within each run."""
    against = {arm: _over(slices, arm, best) for arm in arms}
    adjusted = dict(zip(arms, holm([against[arm].p_value for arm in arms]), strict=True))
    base = mean_share(slices, best)
    within_runs = _within_runs(slices, arms, best)
    possible = 1 - mean_share(slices, ORACLE)
    found = []
    for arm in arms:
        every = [share for one in slices for share in one.shares(arm)]
        share = mean_share(slices, arm)
        is_open = math.isnan(against[arm].p_value)
        said = TOO_FEW if is_open else verdict(against[arm], adjusted[arm], base, lower_is_better=True)
        share_over = _over(slices, arm, None)
        saved = (1 - share) / possible if possible else math.nan
        found.append(
            Standing(
                arm=arm,
                share=share_over,
                least=min(every),
                most=max(every),
                possible=saved,
                against=against[arm],
                over_best=share / base,
                verdict=said,
                by_request=within_runs[arm],
            )
        )
    return found


def _over(slices: Sequence[Slice], arm: str, less: str | None) -> Difference:
    """Of an arm's share, less another's, over slices; of one slice over seeds."""
    base = [one.share(less) if less else 0.0 for one in slices]
    if len(slices) == 1:
        return over_seeds([share - base[0] for share in slices[0].shares(arm)])
    return over_seeds([one.share(arm) - of_base for one, of_base in zip(slices, base, strict=True)])


def _within_runs(slices: Sequence[Slice], arms: Sequence[str], best: str) -> dict[str, dict[str, int]]:
    found = {arm: dict.fromkeys((BETTER, WORSE, NOT_SHOWN, TOO_FEW), 0) for arm in arms}
    for one in slices:
        before = one.requests[best][0]
        for seed in range(max(len(one.requests[arm]) for arm in arms)):
            of_seed = [arm for arm in arms if seed < len(one.requests[arm])]
            compared = {arm: within(one.requests[arm][seed], before) for arm in of_seed}
            known = {arm: difference for arm, difference in compared.items() if difference is not None}
            adjusted = holm([difference.p_value for difference in known.values()])
            for (arm, difference), p_holm in zip(known.items(), adjusted, strict=True):
                found[arm][verdict(difference, p_holm, float(before.mean()), lower_is_better=True)] += 1
            for arm in of_seed:
                found[arm][TOO_FEW] += arm not in known
    return found
