"""What a picture of a sweep shows: which keys are its axes, which runs its cells, and what they came to."""

from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from experiments.charts.chart import Chart
from experiments.charts.style import Arms
from experiments.charts.sweeps import Axis, Metric, curves, heat
from experiments.compare.seeds import over_runs
from experiments.compare.table import COMPARED, REQUEST_LATENCY
from experiments.compare.verdict import BETTER, WORSE
from experiments.differences.settings import value_text
from experiments.ranking import difference_of
from experiments.report import ROWS, bytes_text, number_text, time_text
from experiments.results import KeptResults, Row, named
from experiments.sweep_columns import base_of_arm
from experiments.sweeping.axes import amount_of
from experiments.variants import VARIANT, KeptVariants, short
from experiments.written import kind_of
from simulator.errors import InputError

_MOST_LINES, _MOST_PANELS, _ENOUGH = 24, 9, 4


class Asked(NamedTuple):
    """What is said on the command line; None: as suits the sweep."""

    kind: str | None = None
    x: str | None = None
    y: str | None = None
    panel: str | None = None
    metric: str = "mean_latency_ns"
    arms: Sequence[str] = ()
    where: Sequence[str] = ()
    absolute: bool = False


def chart_of_sweep(found: KeptResults | KeptVariants, asked: Asked) -> Chart:
    """Curves or a map.

    Raises:
        InputError: there is no such key, metric or arm, nothing was swept, or there are no such runs.
    """
    return _Picture(found, asked).chart()


class _Picture:
    def __init__(self, found: KeptResults | KeptVariants, asked: Asked) -> None:
        self._found, self._asked, self._folder = found, asked, found.folder
        self._arm_keys = found.swept.arm_keys
        baselines = {found.baseline} if isinstance(found, KeptResults) else {
            str(one.config["baseline"]) for one in found.variants
        }  # fmt: skip
        if len(baselines) > 1:
            raise InputError(f"{self._folder}: its variants have several baselines, {named(sorted(baselines))}")
        self._baseline = baselines.pop()
        runs = found.table("runs")
        self._metric = _metric(asked.metric, runs)
        keys = found.swept.keys
        columns = [*([VARIANT] if VARIANT in runs.schema.names else []), *keys, "arm", "seed", "repeat", asked.metric]
        rows = runs.select(list(dict.fromkeys(columns))).to_pylist()
        self._of_arm = {row["arm"]: {k: row[k] for k in self._arm_keys if row[k] is not None} for row in rows}
        self._axes = {key: axis for key, axis in _axes(found, rows) if len(axis.labels) > 1}
        if not self._axes:
            raise InputError(f"{self._folder}: nothing was swept there; expected --kind, another word lists them")
        self._rows = self._filtered(rows)

    def chart(self) -> Chart:
        numbers = [key for key, axis in self._axes.items() if axis.is_number]
        numbers.sort(key=lambda key: -len(self._axes[key].labels))
        asked = self._asked
        are_many = len(numbers) > 1 and all(len(self._axes[key].labels) >= _ENOUGH for key in numbers[:2])
        is_map = asked.kind == "heat" or (
            asked.kind is None and (asked.y is not None or (are_many and asked.panel is None and asked.x is None))
        )
        order = [*numbers, *(key for key in self._axes if key not in numbers)]
        x = self._key("--x", asked.x) if asked.x else next(
            (key for key in order if asked.y is None or key != self._key("--y", asked.y)), order[0]
        )  # fmt: skip
        return self._heat(x, order) if is_map else self._curves(x, order)

    # -- which runs ---------------------------------------------------------------------------------------------------
    def _key(self, option: str, said: str) -> str:
        """A swept key by its path, or by as much of its end as tells it from others."""
        found = [key for key in self._axes if key == said] or [k for k in self._axes if f".{k}".endswith(f".{said}")]
        if len(found) != 1:
            ends = [key.split(".", n)[-1] for key in self._axes for n in range(key.count(".") + 1)]
            close = get_close_matches(said, ends, 1)
            meant = f"did you mean {close[0]!r}?" if close and not found else f"expected one of {', '.join(self._axes)}"
            raise InputError(f"{option} {said}: {'is several keys' if found else 'is no swept key'}; {meant}")
        return found[0]

    def _filtered(self, rows: list[Row]) -> list[Row]:
        for said in self._asked.where:
            name, equals, text = said.partition("=")
            if not equals:
                raise InputError(f"--where {said}: expected KEY=VALUE, KEY a swept key")
            key = self._key("--where", name)
            labels = self._axes[key].labels
            there = [v for v, label in labels.items() if text in (label, str(v)) or amount_of(text)[0] == v]
            if not there:
                raise InputError(
                    f"--where {said}: {key} has no such value; expected one of {named([*labels.values()], 12)}"
                )
            rows = [row for row in rows if row[key] is None or row[key] == there[0]]
        if self._asked.arms:
            known = dict.fromkeys(name for row in rows for name in (row["arm"], self._base(row["arm"])))
            for arm in self._asked.arms:
                if arm not in known:
                    raise InputError(f"--arm {arm}: there is none; expected one of {named(list(known), 12)}")
            rows = [row for row in rows if {row["arm"], self._base(row["arm"])} & set(self._asked.arms)]
        return [row for row in rows if row[self._metric.name] is not None]

    def _base(self, arm: str) -> str:
        return base_of_arm(arm, self._of_arm.get(arm, {}))

    def _series(self, arm: str, drawn: Iterable[str]) -> str:
        """What an arm is called beside others: that it was made of, and what it has of keys that are no axis."""
        more = {key: value for key, value in self._of_arm[arm].items() if key not in drawn}
        if not set(self._of_arm[arm]) & set(drawn):
            return arm
        said = ", ".join(f"{key.rpartition('.')[2]} {self._label(key, value)}" for key, value in more.items())
        return f"{self._base(arm)} ({said})" if said else self._base(arm)

    def _label(self, key: str, value: Any) -> str:
        return self._axes[key].labels[value] if key in self._axes else str(value)

    def _fixed(self, drawn: Sequence[str]) -> str:
        """Leave one value of each key of variants that is no axis, the first one; what that is."""
        said = []
        for key, axis in self._axes.items():
            there = [value for value in axis.labels if any(row[key] == value for row in self._rows)]
            if key in drawn or key in self._arm_keys or not there:
                continue
            if len(there) > 1:
                self._rows = [row for row in self._rows if row[key] in (None, there[0])]
            said.append(f"{axis.title} {axis.labels[there[0]]}")
        if not self._rows:
            raise InputError(f"{self._folder}: has no such run with {self._metric.name}; expected another --where")
        return f" With {', '.join(said)}." if said else ""

    # -- what they came to ---------------------------------------------------------------------------------------------
    def _curves(self, x: str, order: Sequence[str]) -> Chart:
        said, axes = self._asked.panel, self._axes
        others = [key for key in order if key != x and key not in self._arm_keys]
        panel = self._key("--panel", said) if said else next(
            (key for key in others if 1 < self._n_values(key) <= _MOST_PANELS), None
        )  # fmt: skip
        if panel == x:
            raise InputError(f"--panel {said}: {x} is the key to the right already; expected another one")
        drawn = [x, *([panel] if panel else [])]
        fixed = self._fixed(drawn)
        cells: dict[tuple[str, Any, Any], list[Row]] = {}
        for row in self._rows:
            name = self._series(row["arm"], drawn)
            cells.setdefault((name, row[x], row[panel] if panel else None), []).append(row)
        # With the key's name: over a panel there is no other word.
        of_panels = axes[panel].labels if panel else {}
        panels = {value: f"{axes[str(panel)].title} {label}" for value, label in of_panels.items()}
        data: list[Row] = []
        for (name, at, of), rows in cells.items():
            value, low, high = self._mean(rows)
            text = {
                "arm": name, "value": value, "low": low, "high": high, "text": self._text(value),
                "interval": "none" if low is None or high is None else f"{self._text(low)} to {self._text(high)}",
            }  # fmt: skip
            places = [at] if at is not None else self._ends(x)
            shown = [None] if panel is None else [of] if of is not None else list(panels)
            data += [
                {**text, "x": place, "at": axes[x].labels[place], "flat": at is None,
                 "panel": "" if panel is None else panels[where]}
                for place in places for where in shown
            ]  # fmt: skip
        names = list(dict.fromkeys(row["arm"] for row in data))
        if len(names) > _MOST_LINES:
            raise InputError(
                f"{self._folder}: has {len(names)} lines; expected at most {_MOST_LINES}: see --arm, --where"
            )
        look = Arms(names, self._baseline)
        says = f"Means over seeds with their 95 % intervals.{fixed}"
        return curves(data, look, axes[x], axes[panel]._replace(labels=panels) if panel else None, self._metric, says)

    def _n_values(self, key: str) -> int:
        return len({row[key] for row in self._rows if row[key] is not None})

    def _ends(self, key: str) -> list[Any]:
        there = [value for value in self._axes[key].labels if any(row[key] == value for row in self._rows)]
        return [there[0], there[-1]] if self._axes[key].is_number else there

    def _heat(self, x: str, order: Sequence[str]) -> Chart:
        said = self._asked.y
        y = self._key("--y", said) if said else next((key for key in order if key != x), None)
        if said and x == y:
            raise InputError(f"--y {said}: {x} is the key to the right already; expected another one")
        if y is None:
            raise InputError(
                f"--kind heat: expected two swept keys, and there is {', '.join(self._axes)}; see --kind curves"
            )
        fixed = self._fixed([x, y])
        is_difference = not self._asked.absolute and self._metric.name in COMPARED
        compared = self._compared() if is_difference else {}
        cells: dict[tuple[str, Any, Any], list[Row]] = {}
        for row in self._rows:
            if row[x] is not None and row[y] is not None and not (is_difference and row["arm"] == self._baseline):
                cells.setdefault((self._series(row["arm"], [x, y]), row[x], row[y]), []).append(row)
        data: list[Row] = []
        for (name, at_x, at_y), rows in cells.items():
            cell = {"panel": name, "x": self._axes[x].labels[at_x], "y": self._axes[y].labels[at_y]}
            if not is_difference:
                value = self._mean(rows)[0]
                data.append(cell | {"value": value, "text": self._text(value), "unsettled": False})
                continue
            one = difference_of(compared.get(rows[0].get(VARIANT), []), rows[0]["arm"], self._metric.name)
            if one is not None and one["relative_difference_ratio"] is not None:
                ratio = one["relative_difference_ratio"]
                text = {
                    "text": f"{ratio:+.0%}" if round(ratio, 2) else "0%",
                    "unsettled": one["verdict"] not in (BETTER, WORSE),
                }
                data.append(cell | {"value": ratio, **text})
        panels = list(dict.fromkeys(row["panel"] for row in data))
        if not panels:
            raise InputError(
                f"{self._folder}: no arm has both {x} and {y}, or none is compared; see --x, --y, --absolute"
            )
        if len(panels) > _MOST_PANELS:
            raise InputError(f"{self._folder}: has {len(panels)} maps; expected at most {_MOST_PANELS}: see --arm")
        rings = any(row["unsettled"] for row in data)
        says = (
            f"Means over seeds{', against ' + self._baseline if is_difference else ''}."
            f"{' Cells with a ring are not settled.' if rings else ''}{fixed}"
        )
        baseline = self._baseline if is_difference else ""
        return heat(data, panels, self._axes[x], self._axes[y], self._metric, says, baseline)

    def _compared(self) -> dict[Any, list[Row]]:
        wanted = {self._metric.name, REQUEST_LATENCY}
        found: dict[Any, list[Row]] = {}
        for row in self._found.table("comparisons").to_pylist():
            if row["metric"] in wanted:
                found.setdefault(row.get(VARIANT), []).append(row)
        return found

    def _mean(self, rows: list[Row]) -> tuple[float, float | None, float | None]:
        """Over seeds, with its interval, none from one alone; repeats of a seed as comparisons have them."""
        by_seed: dict[int, list[float]] = {}
        for row in sorted(rows, key=lambda row: (row["seed"], row["repeat"])):
            by_seed.setdefault(row["seed"], []).append(float(row[self._metric.name]))
        n = min(map(len, by_seed.values()))
        of = over_runs(np.array([values[:n] for values in by_seed.values()]))
        low, high = (None if end != end else end for end in (of.low, of.high))
        return of.mean, low, high

    def _text(self, value: float) -> str:
        kind = self._metric.kind
        return bytes_text(int(value)) if kind == "bytes" else number_text(value, kind) if kind else f"{value:.4g}"


def _metric(name: str, runs: Any) -> Metric:
    import pyarrow as pa

    numbers = [f.name for f in runs.schema if pa.types.is_floating(f.type) or pa.types.is_integer(f.type)]
    if name not in numbers:
        close = get_close_matches(name, numbers, 1)
        meant = (
            f"did you mean {close[0]!r}?"
            if close
            else "expected a column of runs that has numbers, see docs/metrics.md"
        )
        raise InputError(f"--metric {name}: there is none; {meant}")
    label = next((label.strip().replace("of it ", "") for label, metric, _ in ROWS if metric == name), name)
    return Metric(name, label, kind_of(name) or "", COMPARED.get(name, name.endswith("_ns")))


def _axes(found: KeptResults | KeptVariants, rows: list[Row]) -> Iterable[tuple[str, Axis]]:
    """The swept keys, each with the values that runs have."""
    titles = short(found.swept.keys)
    for key in found.swept.keys:
        values = list(dict.fromkeys(row[key] for row in rows if row[key] is not None))
        is_number = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
        if is_number:
            values.sort()
        yield (
            key,
            Axis(key, titles[key], _labels(values, found.swept.unit_of(key)), is_number, is_number and _is_log(values)),
        )


def _labels(values: Sequence[Any], unit: str) -> dict[Any, str]:
    """As somebody would write them, in a few figures where these tell them apart."""
    texts: dict[str, Callable[[Any], str]] = {
        "B": bytes_text,
        "ns": time_text,
        "B/s": lambda n: value_text(f"{n} B/s"),
    }
    exact = [
        f"{value:,} {unit}" if unit else f"{value:.6g}" if isinstance(value, float) else str(value) for value in values
    ]
    rounded = [texts[unit](value) for value in values] if unit in texts else exact
    return dict(zip(values, rounded if len(set(rounded)) == len(values) else exact, strict=True))


def _is_log(values: Sequence[float]) -> bool:
    """Whether values are a factor apart rather than a distance, or lie far apart."""
    if len(values) < 2 or values[0] <= 0:
        return False
    if values[-1] > 20 * values[0]:
        return True
    steps, factors = [b - a for a, b in pairwise(values)], [b / a for a, b in pairwise(values)]
    return len(values) > 2 and max(factors) / min(factors) < 1.2 < max(steps) / min(steps)
