"""After which number of seeds ``--until`` looks at the intervals, and when it ends.

An interval that is looked at again and again, until it happens to be narrow, covers the truth less often than it says
(Anscombe 1952, Chow & Robbins 1965: it does so only as it gets ever narrower). Against that: no look before
``LEAST_SEEDS`` decides anything; a look widens the interval by ``1 + 3 / n`` before it is held against the width; and
looks are few: the next one is where the spread so far says that it is enough, at most at twice as many seeds.
``benchmarks/until_coverage.py`` measures what is left.
"""

import math
from pathlib import Path
from typing import Any, NamedTuple

from experiments.compare.table import Runs, paired
from experiments.config import Experiment
from experiments.kept import Kept
from experiments.plan import planned
from experiments.report import number_text
from experiments.until.targets import LEAST_SEEDS, Target, Until
from simulator.errors import InputError

Row = dict[str, Any]
_MOST_FACTOR = 2
_WIDENED = 3


class Look(NamedTuple):
    """What the intervals are after some seeds: how many are enough by that, if it is not over, and what is said."""

    n_seeds: int
    is_over: bool
    said: str
    is_capped: bool = False


def seeds_of(experiment: Experiment, n: int) -> tuple[int, ...]:
    """The config's seeds, and as many of the smallest other numbers as make ``n``."""
    seeds, number = list(experiment.seeds), 0
    taken = set(seeds)
    while len(seeds) < n:
        if number not in taken:
            seeds.append(number)
        number += 1
    return tuple(seeds)


def with_seeds(experiment: Experiment, n: int) -> Experiment:
    """The same experiment with so many seeds at least."""
    return experiment.model_copy(update={"seeds": seeds_of(experiment, n)})


def begun(until: Until, experiment: Experiment, folder: Path, *, force: bool) -> Experiment:
    """The experiment with the seeds of its first look, or of the one that a folder had come to."""
    first = with_seeds(experiment, 2)
    if force:
        return first
    kept = Kept.load(folder)
    if kept.about.get("config_hash") != experiment.folder_hash():
        return first
    now = first
    while all(run.key in kept.runs for run in planned(now)):
        look = look_at(until, now, [kept.runs[run.key].row for run in planned(now)])
        if look.is_over:
            break
        now = with_seeds(experiment, look.n_seeds)
    return now


def look_at(until: Until, experiment: Experiment, rows: list[Row]) -> Look:
    """Whether the intervals of these runs, of all seeds of an experiment, are narrow enough.

    Raises:
        InputError: the runs have no such metric.
    """
    of_arm: dict[str, Runs] = {}
    for row in rows:
        of_arm.setdefault(row["arm"], {}).setdefault(row["seed"], []).append(row)
    n = len(experiment.seeds)
    base = of_arm.pop(experiment.baseline)
    found = [
        one
        for target in until.targets
        for arm, runs in of_arm.items()
        if target.means(arm) and (one := _interval(target, arm, experiment, runs, base)) is not None
    ]
    if not found:
        return Look(n, True, f"--until: all {n} seeds came out the same: nothing is drawn, and more seeds tell nothing")
    worst = max(found, key=lambda one: one.needed(n))
    needed = worst.needed(n)
    if n >= LEAST_SEEDS and needed <= n:
        return Look(n, True, f"--until: narrow enough after {n} seeds: {worst.text()}")
    if n >= until.most_seeds:
        said = f"--until: not narrow enough after {n} seeds (--most-seeds): {worst.text()}"
        more = f"; about {needed:,} seeds might do" if math.isfinite(needed) else ""
        return Look(n, True, said + more, is_capped=True)
    next_n = int(min(max(needed, LEAST_SEEDS, n + 1), max(_MOST_FACTOR * n, LEAST_SEEDS), until.most_seeds))
    return Look(next_n, False, f"--until: after {n} seeds {worst.text()}; on to {next_n}")


def seeds_needed(width: float, wanted: float, n: int) -> float:
    """How many seeds an interval of ``n`` takes to be narrow enough, widened as it is for having been looked at."""
    if width == 0:
        return 1
    widened = width * (1 + _WIDENED / n)
    if widened < wanted:
        return n
    return max(math.ceil(n * (widened / wanted) ** 2), n + 1) if wanted else math.inf


class _Interval(NamedTuple):
    target: Target
    arm: str
    width: float
    wanted: float
    base_mean: float

    def needed(self, n: int) -> float:
        """So many seeds make it narrow enough."""
        return seeds_needed(self.width, self.wanted, n)

    def text(self) -> str:
        metric = self.target.metric
        if not self.target.is_relative:
            width = number_text(self.width, "time" if metric.endswith("_ns") else "ratio")
        elif self.base_mean:
            width = f"{self.width / abs(self.base_mean):.2%} of the baseline"
        else:
            width = f"{self.width:.3g}, with a baseline of 0,"
        return f"the interval of {self.arm}'s {metric} is {width} wide, {self.target.said} was asked"


def _interval(target: Target, arm: str, experiment: Experiment, runs: Runs, base: Runs) -> _Interval | None:
    """None where seeds change nothing."""
    found = paired(arm, experiment.baseline, runs, base, [target.metric])
    if not found:
        raise InputError(f"--until {target.said}: the runs have no {target.metric}; expected another metric")
    _, difference, base_mean, _ = found[0]
    if difference.n == 1:
        return None
    wanted = target.width * abs(base_mean) if target.is_relative else target.width
    return _Interval(target, arm, difference.high - difference.low, wanted, base_mean)
