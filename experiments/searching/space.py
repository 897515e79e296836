"""What is searched: the combinations of a sweep, each as an experiment of one arm.

A range (``1..8``, ``log(...)``, ``linear(...)``) is a whole number to Optuna, the place in it, so that neighbours are
near each other and every setting is one that ``sweep`` would run as well; a list is a category, whose values have no
order. Keys of a ``zip`` are one parameter together.
"""

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.config import Experiment
from experiments.loading import Said, made_of
from experiments.overrides import override
from experiments.sweeping.points import MOST_POINTS, Axis, Point, Sweep
from experiments.sweeping.spread import arm_of, base_of, names_of
from simulator.errors import InputError

OWN = "own"
"""What the variant with the config's own settings is called."""
Places = tuple[int, ...]
"""Of a combination: the place of its values on each axis."""
_LONGEST = 80
_TRIES = 32
_MOST_CHECKED = 64


class Setting(NamedTuple):
    """A combination, what it is called, and its experiment."""

    name: str
    point: Point
    experiment: Experiment


class Space:
    """All combinations, and how one becomes an experiment."""

    def __init__(self, path: Path, said: Said, variant: str, sweep: Sweep, arm: str | None) -> None:
        """Raises InputError if the keys are not of one arm and the system, or a value fits nowhere."""
        self._path, self._raw, self._sweep = path, said.by_variant[variant], sweep
        self.axes: list[Axis] = sweep.axes
        whole = made_of(path, str(path), copy.deepcopy(self._raw))
        if sweep.has_sample:
            raise InputError(f"{path}: sweep: sample: a search draws by itself; expected none, and --trials N")
        if whole.warm_up == "mser5":
            raise InputError(
                f"{path}: warm_up: mser5 would judge each setting on other accesses; expected none, a number or a share"
            )
        self.arm = self._arm(arm, whole, said.overridden)
        self.own = self._alone(whole, OWN)
        self._check_values()

    @property
    def n(self) -> int:
        """How many combinations there are, those that do not count as well."""
        return self._sweep.n_combinations

    def _arm(self, arm: str | None, whole: Experiment, overridden: set[str]) -> str:
        names = [one.name for one in whole.arms]
        if arm is not None and arm not in names:
            raise InputError(f"--arm {arm}: there is no such arm; expected one of {', '.join(names)}")
        of_keys: dict[str, None] = {}
        for key in self._sweep.keys:
            if key in overridden:
                raise InputError(f"{key}: is searched, and set by --set; expected one of them")
            if key.split(".")[0] not in ("arms", "system") or "." not in key or key.endswith(".name"):
                raise InputError(
                    f"{key}: cannot be searched; expected a key of the system or of an arm, such as arms.NAME.policy.n"
                )
            try:
                found = arm_of(key, self._raw)
            except ValueError as error:
                raise InputError(f"{self._path}: sweep: {error}") from None
            if found is not None:
                of_keys[found] = None
        others = [name for name in of_keys if name != arm]
        if arm is not None and others:
            raise InputError(f"--arm {arm}: keys of {', '.join(others)} change nothing in it; expected its own")
        left = list(of_keys) or [name for name in names if name != whole.baseline] or names
        if arm is None and len(left) > 1:
            raise InputError(f"--arm: there are several; expected one of {', '.join(left)}")
        return arm or left[0]

    def _alone(self, whole: Experiment, name: str) -> Experiment:
        """The arm by itself: what others do says nothing of its setting."""
        arms = tuple(one for one in whole.arms if one.name == self.arm)
        named = f"{base_of(self._raw)}-{name}"
        return whole.model_copy(update={"arms": arms, "baseline": self.arm, "name": named})

    def _check_values(self) -> None:
        """Raises InputError for a value that is wrong whatever the others are."""
        draw, problems = np.random.default_rng(0), []
        for at, axis in enumerate(self.axes):
            n = len(axis.rows)
            for place in sorted({round(i) for i in np.linspace(0, n - 1, min(n, _MOST_CHECKED))}):
                keys = dict(zip(axis.keys, axis.rows[place], strict=True))
                found = self._problem(keys)
                for _ in range(_TRIES if found else 0):
                    # What does not fit the config as it is may fit other values.
                    places = [*self.drawn(draw)]
                    places[at] = place
                    if self._problem(self.point(tuple(places))) is None:
                        found = None
                        break
                problems += found or []
        if problems:
            raise InputError(*dict.fromkeys(problems))

    def _problem(self, point: Point) -> list[str] | None:
        try:
            self._experiment(point, OWN)
        except InputError as error:
            return [str(problem) for problem in error.args]
        return None

    def point(self, places: Places) -> Point:
        """A combination by its places."""
        values: Point = {}
        for axis, place in zip(self.axes, places, strict=True):
            values |= zip(axis.keys, axis.rows[place], strict=True)
        return values

    def drawn(self, draw: np.random.Generator) -> Places:
        """Any combination, each as likely."""
        return tuple(int(draw.integers(len(axis.rows))) for axis in self.axes)

    def allows(self, places: Places) -> bool:
        """Whether ``when`` holds. Raises InputError where that cannot be told."""
        try:
            return self._sweep.allows(self.point(places))
        except ValueError as error:
            raise InputError(f"{self._path}: sweep: when: {error}") from None

    def all(self) -> Iterator[Places] | None:
        """Every combination in order; None: there are too many to go through."""
        if self.n > MOST_POINTS:
            return None
        return (tuple(map(int, places)) for places in np.ndindex(*(len(axis.rows) for axis in self.axes)))

    def setting(self, places: Places, taken: Mapping[str, Point]) -> Setting:
        """A combination as an experiment; ``taken``: the names that others have.

        Raises:
            InputError: its values do not go together.
        """
        point = self.point(places)
        longest = _LONGEST - 1 - len(base_of(self._raw))
        name = names_of([point], longest)[0]
        if taken.get(name, point) != point:
            # What words leave out of values tells them apart.
            name = f"{name[: longest - 9]}-{'_'.join(map(str, places))}"[:longest]
        return Setting(name, point, self._experiment(point, name))

    def _experiment(self, point: Point, name: str) -> Experiment:
        raw = copy.deepcopy(self._raw)
        for key, value in point.items():
            arm = arm_of(key, raw)
            # Of an arm by itself: its name may have dots.
            at = raw if arm is None else next(one for one in raw["arms"] if one.get("name") == arm)
            inner = key if arm is None else key.removeprefix(f"arms.{arm}.")
            try:
                override(at, inner, copy.deepcopy(value))
            except ValueError as error:
                raise InputError(f"{self._path}: sweep: {key}: {error}") from None
        said = ", ".join(f"{key} {value}" for key, value in point.items())
        return self._alone(made_of(self._path, f"{self._path}: with {said}", raw), name)
