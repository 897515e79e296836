"""What the best setting is worth: it and the config's own, on seeds that no trial has seen.

Of many settings the one that looks best owes some of that to luck with the seeds that chose it, so that on these its
lead is too large (the winner's curse). Fresh seeds did not choose it.
"""

from pathlib import Path
from typing import NamedTuple

from experiments.compare.seeds import Difference
from experiments.config import Experiment
from experiments.searching.space import OWN
from experiments.searching.trials import Making, Result, difference, made
from experiments.until.looks import seeds_of

CONFIRM = "confirm"
"""The folder below that of the search."""


class Confirmed(NamedTuple):
    """The difference on fresh seeds, and the mean of the config's own settings there; None: seeds change nothing."""

    found: Difference | None
    own_mean: float
    n_seeds: int


def confirmed(making: Making, own: Experiment, best: Experiment, name: str, n: int, out: Path) -> Confirmed:
    """Run both on ``n`` fresh seeds. Raises InputError, RunsDiedError and RunsFailedError as ``made``."""
    fresh = seeds_of(own, len(own.seeds) + n)[len(own.seeds) :]
    results: list[Result] = []
    for one, experiment in ((OWN, own), (name, best)):
        again = experiment.model_copy(update={"seeds": fresh})
        results.append(made(making, one, {}, again, out / CONFIRM / one, None))
    ours, theirs = results[1], results[0]
    if n > 1 and all(len({*one.values.values()}) == 1 for one in results):
        return Confirmed(None, theirs.mean, n)
    return Confirmed(difference(ours.values, theirs.values), theirs.mean, n)
