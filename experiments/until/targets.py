"""What ``--until`` asks for: how wide the intervals of which differences may be."""

import math
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from experiments.compare.table import COMPARED
from experiments.config import Experiment
from experiments.plan import is_timed
from simulator.errors import InputError
from simulator.units import parse_ns

LEAST_SEEDS, MOST_SEEDS = 10, 100
"""From fewer seeds an interval says too little of its own width; of more there are none unless they are asked for."""


class Target(NamedTuple):
    """The interval of a metric's difference from the baseline shall be narrower than ``width``.

    ``arm`` is a name or a pattern, None for all arms; ``is_relative``: the width is a share of the baseline's mean.
    """

    arm: str | None
    metric: str
    width: float
    is_relative: bool
    said: str

    def means(self, arm: str) -> bool:
        """Whether the interval of this arm is meant."""
        return self.arm is None or fnmatchcase(arm, self.arm)


class Until(NamedTuple):
    """All of them, and the number of seeds at which it ends anyway."""

    targets: Sequence[Target]
    most_seeds: int = MOST_SEEDS

    def check(self, experiment: Experiment) -> None:
        """Raises InputError if an experiment cannot be run so."""
        where = f"--until with {experiment.name}"
        others = [arm for arm in experiment.arms if arm.name != experiment.baseline]
        if not others:
            raise InputError(f"{where}: there is no arm besides the baseline {experiment.baseline!r}; expected some")
        if len(experiment.seeds) > self.most_seeds:
            raise InputError(
                f"--most-seeds {self.most_seeds}: the config has {len(experiment.seeds)} seeds; expected at least as "
                "many"
            )
        for target in self.targets:
            if not any(target.means(arm.name) for arm in others):
                names = ", ".join(arm.name for arm in others)
                raise InputError(
                    f"--until {target.said}: {experiment.name} has no such arm besides its baseline; "
                    f"expected one of {names}"
                )
        meant = [arm for arm in experiment.arms if arm.name == experiment.baseline or self._means(arm.name)]
        timed = [arm.name for arm in meant if is_timed(arm)]
        if experiment.repeats > 1 and timed:
            # Their intervals take a repeat for one hour of the machine. Seeds that come later see another one.
            raise InputError(
                f"{where}: repeats: {experiment.repeats}, and {', '.join(timed)} is measured: seeds that come later are"
                " measured at another hour than the repeat that they belong to; expected repeats: 1, or a charge that "
                "is not measured"
            )

    def _means(self, arm: str) -> bool:
        return any(target.means(arm) for target in self.targets)


def parse(text: str, most_seeds: int | None = None) -> Until:
    """``mean_latency_ns=1%,lstm.hit_ratio=0.01``. Raises InputError if it is none."""
    most = MOST_SEEDS if most_seeds is None else most_seeds
    if most < LEAST_SEEDS:
        raise InputError(
            f"--most-seeds {most}: expected at least {LEAST_SEEDS}; fewer say too little of how wide an interval is"
        )
    targets = [_target(part.strip()) for part in text.split(",")]
    for target in targets:
        if sum((one.arm, one.metric) == (target.arm, target.metric) for one in targets) > 1:
            raise InputError(f"--until {target.said}: is there twice; expected each arm and metric once")
    return Until(targets, most)


def _target(said: str) -> Target:
    key, equals, width = (part.strip() for part in said.partition("="))
    # Names of arms may have dots, metrics have none.
    arm, _, metric = key.rpartition(".")
    if not equals or metric not in COMPARED:
        raise InputError(
            f"--until {said}: expected METRIC=WIDTH or ARM.METRIC=WIDTH, METRIC one of {', '.join(COMPARED)}"
        )
    is_relative = width.endswith("%")
    try:
        value = _number(width[:-1]) / 100 if is_relative else _absolute(metric, width)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        of_kind = "a time such as 500 ns" if metric.endswith("_ns") else "a number such as 0.01"
        raise InputError(f"--until {said}: got {width!r}; expected a share of the baseline such as 1%, or {of_kind}")
    return Target(arm or None, metric, value, is_relative, said)


def _absolute(metric: str, width: str) -> float:
    return float(parse_ns(width)) if metric.endswith("_ns") else _number(width)


def _number(text: str) -> float:
    return float(text.strip())
