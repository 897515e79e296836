"""The runs of a trial, seed by seed, and when it is stopped: once it is shown to be worse than the best so far."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.compare.seeds import Difference, over_seeds
from experiments.compare.table import COMPARED, came_out_the_same
from experiments.config import Experiment
from experiments.making import write_tables
from experiments.runner import run_all
from simulator.errors import InputError

Row = dict[str, Any]
_FIRST_SEEDS, _STEP = 3, 1.25
"""So many before anything is judged; then a quarter more each time, so that a hundred seeds are no hundred looks."""


class Goal(NamedTuple):
    """A metric that shall be low, or high."""

    metric: str
    is_minimized: bool

    @property
    def sign(self) -> int:
        """What makes lower better."""
        return 1 if self.is_minimized else -1

    @property
    def said(self) -> str:
        """As on the command line."""
        return f"--{'minimize' if self.is_minimized else 'maximize'} {self.metric}"

    def check(self) -> None:
        """Raises InputError if there is no such metric."""
        if self.metric not in COMPARED:
            raise InputError(f"{self.said}: there is no such metric; expected one of {', '.join(COMPARED)}")


class Result(NamedTuple):
    """What came of a trial: the metric by seed; ``is_whole``: with all of them."""

    name: str
    point: dict[str, Any]
    values: dict[int, float]
    is_whole: bool

    @property
    def mean(self) -> float:
        """Over its seeds."""
        return math.fsum(self.values.values()) / len(self.values)


class Making(NamedTuple):
    """How runs are made."""

    goal: Goal
    console: Any
    jobs: int


def made(
    making: Making, name: str, point: dict[str, Any], experiment: Experiment, folder: Path, best: Result | None,
    report: Callable[[int, float], None] | None = None,
) -> Result:  # fmt: skip
    """Make a trial's runs into its folder, until it is shown to be worse than the best one; its tables are whole then.

    Raises:
        InputError: the runs have no such metric, or as ``run_all``.
        RunsDiedError: as that.
        RunsFailedError: as that.
    """
    every, done, values = experiment.seeds, 0, dict[int, float]()
    n = _FIRST_SEEDS
    while True:
        now = experiment.model_copy(update={"seeds": every[:n]})
        rows = run_all(now, folder, making.console, quiet=True, jobs=making.jobs)
        values = {seed: _value(making.goal, [row for row in rows if row["seed"] == seed]) for seed in now.seeds}
        for step, seed in enumerate(now.seeds[done:], done):
            if report is not None:
                report(step, values[seed])
        done = len(now.seeds)
        if done == len(every) or (best is not None and is_worse(making.goal, values, best.values)):
            break
        if done > 1 and came_out_the_same(rows):
            # Nothing is drawn, so comparisons take seeds for one sample: those that are left are the same once more.
            values |= dict.fromkeys(every, values[every[0]])
            break
        n = max(n + 1, math.ceil(n * _STEP)) if best is not None else len(every)
    write_tables(now, folder, rows)
    return Result(name, point, values, len(values) == len(every))


def _value(goal: Goal, rows: Sequence[Row]) -> float:
    found = [row.get(goal.metric) for row in rows]
    known = [float(value) for value in found if value is not None]
    if len(known) < len(found):
        raise InputError(f"{goal.said}: the runs have no {goal.metric}; expected another metric")
    return math.fsum(known) / len(known)


def difference(ours: dict[int, float], theirs: dict[int, float]) -> Difference:
    """Over the seeds that both have, as the comparisons of a run are."""
    return over_seeds([ours[seed] - theirs[seed] for seed in ours if seed in theirs])


def is_worse(goal: Goal, ours: dict[int, float], best: dict[int, float]) -> bool:
    """Whether the 95 % interval of the paired difference has nothing but worse in it."""
    found = difference(ours, best)
    return found.n > 1 and (found.low if goal.is_minimized else -found.high) > 0
