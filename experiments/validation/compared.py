"""What the live cache had, what the simulator says of it, and how far they are apart."""

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from experiments.compare.seeds import Difference, over_runs
from experiments.plan import Key, key_of, stem_of
from experiments.results import KeptResults, table_of
from simulator.policy import Outcome

Figures = dict[str, float]
OVERALL = {
    "hit_ratio": "ratio", "mean_latency_ns": "time", "p50_latency_ns": "time", "p99_latency_ns": "time",
    "mean_service_ns": "time", "mean_queue_ns": "time", "mean_transfer_ns": "time", "mean_inference_ns": "time",
    "n_issued": "count", "accuracy_ratio": "ratio", "coverage_ratio": "ratio", "lateness_ratio": "ratio",
    "p50_slack_ns": "time", "n_asked": "count", "n_questions_answered": "count", "p50_inference_charged_ns": "time",
}  # fmt: skip
"""Columns of ``runs``, and what they are: of times and counts the relative error counts, of ratios the difference."""
_OUTCOMES = [outcome.name.lower() for outcome in Outcome]
_LEAST = 20
"""Accesses of an outcome that a mean, and a percentile, are said of."""


class Compared(NamedTuple):
    """A figure of an arm on both sides, in the mean over runs.

    ``error`` is simulated over live, less 1, or of ratios the difference; paired run by run, with its interval.
    """

    arm: str
    metric: str
    kind: str
    live: float
    simulated: float
    error: Difference


class Pair(NamedTuple):
    """Two arms: by how much the first one's mean latency is longer, live and simulated, in ns."""

    first: str
    second: str
    live: Difference
    simulated: Difference

    @property
    def is_told_apart(self) -> bool:
        """Whether the live cache tells them apart: an interval without 0."""
        return self.live.low > 0 or self.live.high < 0

    @property
    def agrees(self) -> bool:
        """Whether the simulator has the same one in front."""
        return self.live.mean * self.simulated.mean > 0


def figures_of(folder: Path) -> dict[Key, Figures]:
    """All figures of all runs that a folder of results keeps, by run. Raises InputError if a table is damaged."""
    kept = KeptResults.open(folder)
    system = kept.kept.about["config"]["system"]
    found: dict[Key, Figures] = {}
    for row in kept.rows:
        key = key_of(row)
        figures = {name: float(row[name]) for name in OVERALL if row.get(name) is not None}
        figures |= _of_outcomes(table_of(folder, f"accesses/{stem_of(*key)}"))
        figures |= _of_links(table_of(folder, f"transfers/{stem_of(*key)}"), system, int(row["end_ns"]))
        found[key] = figures
    return found


def texts(column: Any) -> npt.NDArray[Any]:
    """A column of words, each by itself."""
    found: npt.NDArray[Any] = column.cast("string").to_numpy(zero_copy_only=False)
    return found


def _of_outcomes(accesses: Any) -> Figures:
    """Of reads and writes apart: a write that finds nothing waits for nothing."""
    found: Figures = {}
    outcomes, ops = texts(accesses["outcome"]), texts(accesses["op"])
    latency = accesses["latency_ns"].to_numpy()
    for op in ("read", "write"):
        for outcome in _OUTCOMES:
            mine = latency[(outcomes == outcome) & (ops == op)]
            name = outcome if op == "read" else f"{outcome} (write)"
            found[f"{name} share_ratio"] = len(mine) / max(len(latency), 1)
            if len(mine) >= _LEAST:
                p50, p99 = np.quantile(mine, (0.5, 0.99), method="inverted_cdf")
                found |= {f"{name} mean_ns": float(mine.mean()), f"{name} p50_ns": float(p50)}
                found[f"{name} p99_ns"] = float(p99)
    return found


def _of_links(transfers: Any, system: Mapping[str, Any], end_ns: int) -> Figures:
    """How busy each link was: what its calls took, over its channels and the time that is judged."""
    found: Figures = {}
    names = [*(tier["name"] for tier in system["tiers"]), "origin"]
    for i, link in enumerate(system["links"]):
        name = f"{names[i]}_{names[i + 1]}"
        rows = transfers.filter(pc.equal(transfers["link"].cast("string"), name))
        busy = pc.sum(pc.subtract(rows["ended_ns"], rows["started_ns"])).as_py() or 0
        found[f"{name} busy_ratio"] = busy / (end_ns * link["channels"]) if end_ns else 0.0
        found[f"{name} calls"] = float(len(rows))
    return found


def kind_of(metric: str) -> str:
    """What a figure is: ``time``, ``ratio`` or ``count``."""
    if metric in OVERALL:
        return OVERALL[metric]
    last = metric.rsplit(" ", 1)[-1]
    return "ratio" if last.endswith("ratio") else "count" if last == "calls" else "time"


def compared(live: Mapping[Key, Figures], simulated: Mapping[Key, Figures]) -> list[Compared]:
    """Each figure of each arm that runs of both sides have, seed by seed and repeat by repeat.

    Of a figure that some repeats lack, those of the seeds that lack fewest.
    """
    found = []
    for arm in dict.fromkeys(key[0] for key in live):
        keys = [key for key in live if key[0] == arm and key in simulated]
        for metric in dict.fromkeys(name for key in keys for name in live[key]):
            both = [key for key in keys if metric in live[key] and metric in simulated[key]]
            kind = kind_of(metric)
            errors = {
                key: error
                for key in both
                if (error := _error(kind, live[key][metric], simulated[key][metric])) is not None
            }  # fmt: skip
            errors = _whole(errors)
            # What neither side ever had is not worth a line.
            if errors and any(side[key][metric] for side in (live, simulated) for key in errors):
                sides = [float(np.mean([side[key][metric] for key in errors])) for side in (live, simulated)]
                found.append(Compared(arm, metric, kind, sides[0], sides[1], over_runs(_crossed(errors))))
    return found


def _error(kind: str, live: float, simulated: float) -> float | None:
    if kind == "ratio":
        return simulated - live
    return simulated / live - 1 if live else 0.0 if simulated == live else None


def _whole(values: Mapping[Key, float]) -> dict[Key, float]:
    """Those of the repeats that one seed has most of, and of the seeds that have all of these: a grid."""
    repeats: dict[int, set[int]] = {}
    for _, seed, repeat in values:
        repeats.setdefault(seed, set()).add(repeat)
    most = max(repeats.values(), key=len, default=set[int]())
    return {key: value for key, value in values.items() if key[2] in most <= repeats[key[1]]}


def _crossed(values: Mapping[Key, float]) -> npt.NDArray[np.float64]:
    """By seed and repeat, of which each seed has as many."""
    seeds = sorted({seed for _, seed, _ in values})
    return np.array([[value for (_, of, _), value in sorted(values.items()) if of == seed] for seed in seeds])


def pairs(live: Mapping[Key, Figures], simulated: Mapping[Key, Figures]) -> list[Pair]:
    """Any two arms, by their mean latencies in the same seed and repeat."""
    arms, metric = list(dict.fromkeys(key[0] for key in live)), "mean_latency_ns"

    def difference(side: Mapping[Key, Figures], first: str, second: str) -> Difference:
        return over_runs(_crossed({
            key: figures[metric] - side[second, key[1], key[2]][metric]
            for key, figures in side.items()
            if key[0] == first and (second, key[1], key[2]) in side
        }))  # fmt: skip

    return [
        Pair(first, second, difference(live, first, second), difference(simulated, first, second))
        for first, second in combinations(arms, 2)
    ]


def order_of(figures: Mapping[Key, Figures]) -> list[str]:
    """Arms, the one with the shortest mean latency first."""
    arms = dict.fromkeys(key[0] for key in figures)
    means = {
        arm: np.mean([found["mean_latency_ns"] for key, found in figures.items() if key[0] == arm]) for arm in arms
    }
    return sorted(arms, key=lambda arm: means[arm])


def differ_ratio(live: Mapping[Key, Figures], arm: str, metric: str) -> float | None:
    """How far the repeats of a live arm lie apart: (most - least) / mean, the most of any seed; None of one repeat."""
    seeds: dict[int, list[float]] = {}
    for key, figures in live.items():
        if key[0] == arm and metric in figures:
            seeds.setdefault(key[1], []).append(figures[metric])
    found = [(max(values) - min(values)) / np.mean(values) for values in seeds.values() if len(values) > 1]
    return float(max(found)) if found else None
