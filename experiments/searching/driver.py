"""A search from its first run to the last: the config's own settings, trials, and the best one on fresh seeds."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

from experiments.exits import RunsDiedError, RunsFailedError
from experiments.searching.asking import Asking, Proposed
from experiments.searching.confirming import Confirmed, confirmed
from experiments.searching.said import say_end, trial_text
from experiments.searching.space import OWN, Setting, Space
from experiments.searching.trials import Goal, Making, Result, made


class Wanted(NamedTuple):
    """What is asked for on the command line."""

    goal: Goal
    n_trials: int
    n_confirm: int
    jobs: int
    quiet: bool


def out_of(space: Space) -> Path:
    """Where results go by themselves: by the config, the arm and what is searched, not by how."""
    axes = [(axis.keys, axis.rows) for axis in space.axes]
    digest = hashlib.sha256(f"{space.own.folder_hash()} {space.arm} {axes!r}".encode()).hexdigest()[:8]
    return Path("results") / f"{space.own.name.removesuffix(f'-{OWN}')}-search-{digest}"


def search(space: Space, wanted: Wanted, asking: Asking, out: Path, console: Any) -> None:
    """Make all runs that are not kept, and say what came of them.

    Raises:
        InputError: a run's input is wrong, or the folder is.
        RunsDiedError: processes died; all other trials are kept, and told.
        RunsFailedError: code from outside failed; all other trials are kept, and told.
    """
    found = _Search(space, wanted, out, console)
    found.try_all(asking)
    best = found.best
    fresh: Confirmed | None = None
    if wanted.n_confirm and best.name != OWN:
        found.say(f"{best.name} and the config's own settings on {wanted.n_confirm} fresh seeds ...")
        experiment = found.settings[best.name].experiment
        fresh = confirmed(found.making, space.own, experiment, best.name, wanted.n_confirm, out)
    if not wanted.quiet:
        say_end(console, wanted.goal, found.own, found.results, best, fresh, out)
        for line in asking.refused:
            found.say(f"not possible: {line}")
    if found.failed:
        kind = RunsDiedError if found.died else RunsFailedError
        raise kind(*found.failed)


class _Search:
    """The trials on their way."""

    def __init__(self, space: Space, wanted: Wanted, out: Path, console: Any) -> None:
        self._space, self._wanted, self._out, self._console = space, wanted, out, console
        self.making = Making(wanted.goal, console, wanted.jobs)
        self.settings: dict[str, Setting] = {}
        self.failed: list[str] = []
        self.died = False
        self.say(f"{OWN}: the config's own settings, {len(space.own.seeds)} seeds")
        self.own = self.best = made(self.making, OWN, {}, space.own, out / OWN, None)
        self.results: list[Result] = []

    def say(self, text: str) -> None:
        """A line of progress."""
        if not self._wanted.quiet:
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def try_all(self, asking: Asking) -> None:
        """As many trials as were asked for, if there are as many settings."""
        n = self._wanted.n_trials
        for number in range(1, n + 1):
            proposed = asking.next()
            if proposed is None:
                self.say(f"All {number - 1:,} combinations that count were tried")
                break
            result = self._tried(proposed)
            text = "failed" if result is None else trial_text(self._wanted.goal, result, self.own)
            self.say(f"[{number}/{n}] {proposed.setting.name}: {text}")

    def _tried(self, proposed: Proposed) -> Result | None:
        setting = proposed.setting
        try:
            if setting.experiment.folder_hash() == self._space.own.folder_hash():
                result = self.own._replace(point=setting.point)
                for step, value in enumerate(result.values.values()):
                    proposed.report(step, value)
            else:
                result = made(
                    self.making, setting.name, setting.point, setting.experiment, self._out / setting.name, self.best,
                    proposed.report,
                )  # fmt: skip
        except (RunsDiedError, RunsFailedError) as error:
            # A setting that does not work is no reason to try no others.
            self.died |= isinstance(error, RunsDiedError)
            self.failed += [str(line) for line in error.args]
            proposed.failed()
            return None
        self.settings[result.name] = setting
        self.results.append(result)
        if result.is_whole:
            proposed.done(result.mean)
            sign = self._wanted.goal.sign
            if sign * result.mean < sign * self.best.mean:
                self.best = result
        else:
            proposed.pruned()
        return result
