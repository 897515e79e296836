"""The combinations of values that a sweep is of: a grid, keys that go together, a condition, a sample."""

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, ValidationError

from experiments.sweeping.axes import values_of
from experiments.sweeping.condition import Condition
from simulator.config import Strict

MOST_POINTS = 100_000
Point = dict[str, Any]
_OTHERS = ("zip", "when", "sample")


class Sample(Strict):
    """So many of the combinations: drawn at random, or spread evenly by Sobol's sequence."""

    n: Annotated[int, Field(ge=1, le=MOST_POINTS)]
    """How many, if there are as many."""
    how: Literal["random", "sobol"] = "random"
    """Independent draws without repetition, or the points of a scrambled Sobol sequence, each taken once."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Of the draws."""


class Axis(NamedTuple):
    """Keys that take their values together, a row after the other; ``is_ordered``: as a range has them, up or down."""

    keys: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    is_ordered: bool = False


class Sweep:
    """What ``sweep:`` of a config says."""

    def __init__(self, said: Any, *, may_be_large: bool = False) -> None:
        """Raises ValueError, of a line for each problem, if it is no sweep.

        ``may_be_large``: not all combinations will be asked for.
        """
        if not isinstance(said, Mapping) or not said:
            raise ValueError(f"got {said!r}; expected keys of the config, each with its values")
        problems: list[str] = []
        self.axes = [axis for axis in _axes(said, problems) if axis is not None]
        self.keys = [key for axis in self.axes for key in axis.keys]
        twice = [key for key in dict.fromkeys(self.keys) if self.keys.count(key) > 1]
        problems += [f"{key}: is swept twice; expected each key once" for key in twice]
        if not self.keys and not problems:
            problems.append("has no keys; expected some of the config, each with its values")
        self._condition, self._sample = _condition(said, set(self.keys), problems), _sample(said, problems)
        self.n_combinations = math.prod(len(axis.rows) for axis in self.axes)
        if not may_be_large and self._sample is None and self.n_combinations > MOST_POINTS:
            of = " x ".join(str(len(axis.rows)) for axis in self.axes)
            problems.append(
                f"has {self.n_combinations:,} combinations ({of}); expected at most {MOST_POINTS:,}, or "
                "sample: {n: N}"
            )
        if problems:
            raise ValueError(*problems)

    def points(self) -> list[Point]:
        """The combinations that count, the last key's values going round first. Raises ValueError if there are none."""
        found = []
        for number in self._numbers():
            point = self._point(number)
            if self.allows(point):
                found.append((number, point))
                if self._sample is not None and len(found) == self._sample.n:
                    break
        if not found:
            raise ValueError("when: holds for no combination; expected at least one")
        return [point for _, point in sorted(found, key=lambda one: one[0])]

    @property
    def has_sample(self) -> bool:
        """Whether some of the combinations are drawn."""
        return self._sample is not None

    def allows(self, point: Point) -> bool:
        """Whether a combination counts. Raises ValueError where that cannot be told."""
        return self._condition is None or self._condition.holds(point)

    def _point(self, number: int) -> Point:
        values: Point = {}
        for axis in reversed(self.axes):
            number, place = divmod(number, len(axis.rows))
            values = dict(zip(axis.keys, axis.rows[place], strict=True)) | values
        return values

    def _numbers(self) -> Iterator[int]:
        """The combinations to look at, by their places in the whole grid; of a sample, in the order of its draws."""
        if self._sample is None:
            yield from range(self.n_combinations)
        elif self._sample.how == "random":
            yield from _drawn(self.n_combinations, self._sample.seed)
        else:
            yield from _spread([len(axis.rows) for axis in self.axes], self._sample.seed)


def _axes(said: Mapping[str, Any], problems: list[str]) -> Iterator[Axis | None]:
    for key, values in said.items():
        if key == "zip":
            together = values if isinstance(values, list) else [values]
            yield from (_zipped(one, problems) for one in together)
        elif key not in _OTHERS and (found := _values(key, values, problems)) is not None:
            yield Axis((str(key),), [(value,) for value in found], isinstance(values, str))


def _values(key: Any, values: Any, problems: list[str], *, may_repeat: bool = False) -> list[Any] | None:
    if not isinstance(key, str) or not key:
        problems.append(f"{key!r}: is no key; expected one by its path, such as system.tiers.hbm.capacity")
        return None
    try:
        return values_of(values, may_repeat=may_repeat)
    except ValueError as error:
        problems.append(f"{key}: {error}")
    return None


def _zipped(said: Any, problems: list[str]) -> Axis | None:
    """Keys that take their first values together, then their second ones."""
    if not isinstance(said, Mapping) or len(said) < 2:
        problems.append(f"zip: got {said!r}; expected two keys or more, each with its values")
        return None
    columns = {}
    for key, values in said.items():
        if (found := _values(key, values, problems, may_repeat=True)) is not None:
            columns[key] = found
    if len(columns) < len(said):
        return None
    if len({len(values) for values in columns.values()}) > 1:
        lengths = ", ".join(f"{key} has {len(values)}" for key, values in columns.items())
        problems.append(f"zip: {lengths}; expected as many values of each")
        return None
    rows = list(zip(*columns.values(), strict=True))
    if len({repr(row) for row in rows}) < len(rows):
        problems.append(f"zip: {', '.join(columns)} take the same values twice; expected each combination once")
        return None
    return Axis(tuple(columns), rows, any(isinstance(values, str) for values in said.values()))


def _condition(said: Mapping[str, Any], keys: set[str], problems: list[str]) -> Condition | None:
    text = said.get("when")
    if text is None:
        return None
    try:
        if not isinstance(text, str):
            raise ValueError(f"got {text!r}; expected a condition as text")
        return Condition(text, keys)
    except ValueError as error:
        problems.append(f"when: {error}")
    return None


def _sample(said: Mapping[str, Any], problems: list[str]) -> Sample | None:
    if said.get("sample") is None:
        return None
    try:
        return Sample.model_validate(said["sample"])
    except ValidationError as error:
        # Where it is no mapping at all, there is no key to name.
        problems += [
            f"{'.'.join(['sample', *map(str, p['loc'])])}: {p['msg']}; got {p['input']!r}"
            if p["loc"]
            else f"sample: got {p['input']!r}; expected a mapping such as {{n: 200, how: sobol, seed: 0}}"
            for p in error.errors()
        ]
    return None


def _drawn(n: int, seed: int) -> Iterator[int]:
    """All numbers below ``n`` in random order, without a list of them."""
    generator, seen = np.random.default_rng(seed), set[int]()
    if n <= 10 * MOST_POINTS:
        yield from generator.permutation(n).tolist()
        return
    # Repetitions are rare among so many.
    for _ in range(100 * MOST_POINTS):
        number = int(generator.random() * n) if n > 2**62 else int(generator.integers(n))
        if number not in seen:
            seen.add(number)
            yield number


def _spread(lengths: list[int], seed: int) -> Iterator[int]:
    """Places in a grid as Sobol's sequence goes through it, each once."""
    from scipy.stats import qmc

    sequence, seen = qmc.Sobol(len(lengths), rng=np.random.default_rng(seed)), set[int]()
    n = math.prod(lengths)
    for _ in range(20):
        for row in sequence.random(1 << 15 if seen else 1 << 10):
            number = 0
            for length, at in zip(lengths, row, strict=True):
                number = number * length + min(int(at * length), length - 1)
            if number not in seen:
                seen.add(number)
                yield number
        if len(seen) == n:
            return
