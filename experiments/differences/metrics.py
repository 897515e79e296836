"""Metrics of two arms side by side, with what may be said of their differences."""

import math
from typing import Any, NamedTuple

from experiments.compare.requests import request_latencies
from experiments.compare.table import COMPARED, Runs, judged, of_requests, paired, unpaired
from experiments.compare.verdict import BETTER, WORSE
from experiments.differences.arms import NONE, PAIRED, Basis
from experiments.means import mean
from experiments.results import KeptResults

Row = dict[str, Any]
SAME, MOVED, TIMED = "the same", "not the same", "not judged: timed once"
NOT_COMPARABLE = "not comparable"
_NO_METRICS = {
    "seed", "repeat", "load_average", "wall_s", "wall_with_training_s", "began_s", "ended_s", "train_s",
    "model_was_cached",
}  # fmt: skip


class Arms(NamedTuple):
    """Two arms: how they are compared, and a row for each metric that is."""

    a: str
    b: str
    basis: Basis
    is_timed: bool
    runs_a: Runs
    runs_b: Runs
    rows: list[Row]
    """As in ``comparisons``; with the means ``a`` and ``b``, and ``is_same``. A verdict may be one of the above."""
    others: list[Row]
    """Further columns of ``runs`` whose means differ: ``metric``, ``a``, ``b``."""


def side_by_side(a: KeptResults, b: KeptResults, arms: list[tuple[str, str, Basis, Runs, Runs]]) -> list[Arms]:
    """All matched arms. Holm's correction is over all arms and metrics that are not the same: they are one claim."""
    found: list[Arms] = []
    claims = []
    for arm_a, arm_b, basis, all_a, all_b in arms:
        runs_a, runs_b = (
            {s: runs[s] for s in seeds} for runs, seeds in ((all_a, basis.seeds_a), (all_b, basis.seeds_b))
        )
        one = Arms(arm_a, arm_b, basis, _is_timed_once(runs_a, runs_b), runs_a, runs_b, [], [])
        one.rows.extend(_means(one, metric) for metric in COMPARED if _has(one, metric))
        one.others.extend(_others(one))
        found.append(one)
        if basis.kind != NONE:
            claims += [(len(found) - 1, claim) for claim in _claims(a, b, one)]
    compared = judged([claim for _, claim in claims])
    for (i, _), said in zip(claims, compared, strict=True):
        rows = found[i].rows
        row = next((row for row in rows if row["metric"] == said["metric"]), None)
        if row is None:
            # What requests took is no column of `runs`: its means are those of the comparison.
            row = {"metric": said["metric"], "a": said["baseline_mean"],
                   "b": said["baseline_mean"] + said["difference"], "is_same": False}  # fmt: skip
            rows.append(row)
        row |= {name: said[name] for name in _SAID if name in said}
        if found[i].basis.kind != PAIRED:
            row["n_to_settle"] = None
        if found[i].is_timed:
            row["verdict"] = TIMED
    return found


_SAID = (
    "basis", "seed", "n_pairs", "n_repeats", "method", "difference", "relative_difference_ratio", "low", "high",
    "bca_low", "bca_high", "p_value", "p_holm", "effect_size", "verdict", "n_to_settle",
)  # fmt: skip


def _claims(a: KeptResults, b: KeptResults, one: Arms) -> list[Any]:
    """What is to be judged of two arms; nothing of metrics that came out the same in every run."""
    of = paired if one.basis.kind == PAIRED else unpaired
    moved = {row["metric"] for row in one.rows if not row["is_same"]}
    found = [claim for claim in of(one.b, one.a, one.runs_b, one.runs_a) if claim[0]["metric"] in moved]
    if moved and one.basis.kind == PAIRED and found and found[0][1].n == 1:
        # One sample: its requests are many. As in a run's own comparison, of the first repeat.
        seed = one.basis.seeds_a[0]
        latencies = (request_latencies(kept.folder, arm, seed) for kept, arm in ((b, one.b), (a, one.a)))
        found += of_requests(one.b, one.a, seed, *latencies)
    return found


def _means(one: Arms, metric: str) -> Row:
    a, b = (mean(_flat(runs), metric) for runs in (one.runs_a, one.runs_b))
    is_same = one.basis.kind == PAIRED and _values(one.runs_a, metric) == _values(one.runs_b, metric)
    # The same numbers of another trace are no coincidence to build on.
    verdict = NOT_COMPARABLE if one.basis.kind == NONE else SAME if is_same else MOVED
    row = {"metric": metric, "a": a, "b": b, "is_same": is_same, "verdict": verdict}
    if a is not None and b is not None:
        row |= {"difference": b - a, "relative_difference_ratio": (b - a) / a if a else None}
    return row


def _has(one: Arms, metric: str) -> bool:
    return any(row.get(metric) is not None for runs in (one.runs_a, one.runs_b) for row in _flat(runs))


def _others(one: Arms) -> list[Row]:
    """Other numbers of ``runs``; what a machine took is another one each time, and a claim about nothing."""
    rows = _flat(one.runs_a) + _flat(one.runs_b)
    names = dict.fromkeys(
        name
        for row in rows
        for name, value in row.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
        and name not in COMPARED and name not in _NO_METRICS
    )  # fmt: skip
    found = [{"metric": name, "a": mean(_flat(one.runs_a), name), "b": mean(_flat(one.runs_b), name)} for name in names]
    return [row for row in found if not _are_equal(row["a"], row["b"])]


def _are_equal(a: Any, b: Any) -> bool:
    return a == b or (a is not None and b is not None and math.isnan(a) and math.isnan(b))


def _values(runs: Runs, metric: str) -> list[list[Any]]:
    return [[row.get(metric) for row in runs[seed]] for seed in sorted(runs)]


def _flat(runs: Runs) -> list[Row]:
    return [row for rows in runs.values() for row in rows]


def _is_timed_once(*both: Runs) -> bool:
    """Whether latencies were measured, and not repeated: then the machine's noise is in no interval."""
    return any(
        row["latencies"] == "measured" and len(rows) == 1 for runs in both for rows in runs.values() for row in rows
    )


def is_shown(row: Row) -> bool:
    """Whether a difference is claimed."""
    return row["verdict"] in (BETTER, WORSE)


def is_certain(one: Arms, row: Row) -> bool:
    """Whether a metric of these very traces is another one: simulated times come out the same each time."""
    return one.basis.kind == PAIRED and not one.is_timed and not row["is_same"]
