"""Which setting is tried next: as Optuna's sampler proposes, but none twice, and none that does not count.

The study is in memory. It asks the same questions in the same order whenever it is told the same answers, and those
are in the folders of finished runs: a search that was interrupted finds its way by being said again.
"""

from typing import Any

import numpy as np

from experiments.extras import need
from experiments.searching.space import Places, Setting, Space
from experiments.sweeping.points import MOST_POINTS, Point
from simulator.errors import InputError

_MISSES = 5
"""So many proposals in a row that are of no use: then one is drawn that is."""


class Proposed:
    """A setting that waits to be told what came of it."""

    def __init__(self, trial: Any, study: Any, setting: Setting) -> None:
        self._trial, self._study, self.setting = trial, study, setting

    def report(self, step: int, value: float) -> None:
        """What came of a seed."""
        self._trial.report(value, step)

    def done(self, value: float) -> None:
        """All seeds are made."""
        self._study.tell(self._trial, value)

    def pruned(self) -> None:
        """It was stopped."""
        self._study.tell(self._trial, state=_state("PRUNED"))

    def failed(self) -> None:
        """It has no value."""
        self._study.tell(self._trial, state=_state("FAIL"))


class Asking:
    """Optuna's study of a space."""

    def __init__(self, space: Space, *, is_minimized: bool, seed: int) -> None:
        """Raises InputError without the extra."""
        need("search", "optuna")
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space, self._seed = space, seed
        self._names = [", ".join(axis.keys) for axis in space.axes]
        self._distributions: dict[str, Any] = {
            name: optuna.distributions.IntDistribution(0, len(axis.rows) - 1)
            if axis.is_ordered
            else optuna.distributions.CategoricalDistribution(tuple(range(len(axis.rows))))
            for name, axis in zip(self._names, space.axes, strict=True)
        }
        self._study = optuna.create_study(
            direction="minimize" if is_minimized else "maximize", sampler=optuna.samplers.TPESampler(seed=seed)
        )
        self._seen: set[Places] = set()
        self._taken: dict[str, Point] = {}
        self.refused: list[str] = []
        """Of combinations whose values do not go together, what is wrong with them."""

    def next(self) -> Proposed | None:
        """A setting that was not tried yet; None: all were.

        Raises:
            InputError: none can be found.
        """
        misses = 0
        while True:
            if misses >= _MISSES:
                places = self._drawn()
                if places is None:
                    return None
                self._study.enqueue_trial(dict(zip(self._names, places, strict=True)))
            trial = self._study.ask(self._distributions)
            places = tuple(int(trial.params[name]) for name in self._names)
            found = self._setting(places)
            if found is not None:
                return Proposed(trial, self._study, found)
            misses += 1
            self._study.tell(trial, state=_state("FAIL"))

    def _setting(self, places: Places) -> Setting | None:
        """None: it is of no use."""
        if places in self._seen:
            return None
        self._seen.add(places)
        if not self._space.allows(places):
            return None
        try:
            found = self._space.setting(places, self._taken)
        except InputError as error:
            self.refused.append(str(error.args[0]))
            return None
        self._taken[found.name] = found.point
        return found

    def _drawn(self) -> Places | None:
        """One that was not seen and counts, each as likely; None: there is none."""
        draw, every = np.random.default_rng([self._seed, len(self._seen)]), self._space.all()
        if every is not None:
            left = [places for places in every if places not in self._seen and self._space.allows(places)]
            return left[int(draw.integers(len(left)))] if left else None
        for _ in range(MOST_POINTS):
            places = self._space.drawn(draw)
            if places not in self._seen and self._space.allows(places):
                return places
        raise InputError(f"when: holds for none of {MOST_POINTS:,} combinations that were drawn; expected more of them")


def _state(name: str) -> Any:
    from optuna.trial import TrialState

    return TrialState[name]
