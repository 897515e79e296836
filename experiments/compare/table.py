"""The ``comparisons`` table: a row for each arm, metric and basis."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from experiments.compare.requests import request_latencies
from experiments.compare.seeds import Difference, over_runs
from experiments.compare.unpaired import welch
from experiments.compare.verdict import TOO_FEW, holm, n_to_settle, verdict
from experiments.compare.within import within

# Whether less is better.
COMPARED = {
    "hit_ratio": False,
    "mean_latency_ns": True,
    "p50_latency_ns": True,
    "p99_latency_ns": True,
    "p999_latency_ns": True,
    "mean_ttft_ns": True,
    "p99_ttft_ns": True,
    "coverage_ratio": False,
    "end_ns": True,
}
REQUEST_LATENCY = "request_latency_ns"
SEEDS, TRACE = "seeds", "trace"


def compare(rows: list[dict[str, Any]], baseline: str, folder: Path | None = None) -> list[dict[str, Any]]:
    """Compare each arm with the baseline, over the seeds that both have and, from ``folder``, within each seed's run.

    Seeds are pairs: the arms of one saw the same accesses; where both were repeated, so are repeats, and an arm that
    was not is the same in each. Where all seeds of both arms came out the same, as on a recorded trace where nothing is
    drawn, they are one sample: too few to judge from. Holm's correction is over the arms of a metric.
    """
    by_arm: dict[str, Runs] = {}
    for row in rows:
        by_arm.setdefault(row["arm"], {}).setdefault(row["seed"], []).append(row)
    base = by_arm.pop(baseline, {})
    found: list[dict[str, Any]] = []
    pairs = {arm: _samples(runs, base) for arm, runs in by_arm.items()}
    for metric in COMPARED:
        found += judged([_over_runs(arm, baseline, metric, *of_both) for arm, of_both in pairs.items()])
    if folder is not None:
        for seed in base:
            before = request_latencies(folder, baseline, seed)
            if before is None:
                continue
            arms = [arm for arm, runs in by_arm.items() if seed in runs]
            found += judged(
                [_within(arm, baseline, seed, request_latencies(folder, arm, seed), before) for arm in arms]
            )
    order = {arm: i for i, arm in enumerate(by_arm)}
    return sorted(found, key=lambda row: order[row["arm"]])


Runs = dict[int, list[dict[str, Any]]]
"""Rows by seed, in the order of their repeats."""
Compared = tuple[dict[str, Any], Difference, float, bool]
"""The start of a row, the difference, the baseline's mean, and whether less is better."""


def paired(arm: str, baseline: str, runs: Runs, base: Runs, metrics: Iterable[str] = tuple(COMPARED)) -> list[Compared]:
    """Metrics of two arms, which need not be of one experiment, over the seeds that both have, as ``compare``."""
    of_both = _samples(runs, base)
    found = [_over_runs(arm, baseline, metric, *of_both) for metric in metrics]
    return [one for one in found if one is not None]


def of_requests(arm: str, baseline: str, seed: int, after: Any, before: Any) -> list[Compared]:
    """What the requests of two runs over one trace say, as ``request_latencies`` has them; nothing if too few."""
    found = None if before is None else _within(arm, baseline, seed, after, before)
    return [] if found is None else [found]


def unpaired(arm: str, baseline: str, runs: Runs, base: Runs) -> list[Compared]:
    """Every metric of two arms that saw other traces of one kind: Welch's t over seeds, each by its mean.

    Where all seeds of an arm came out the same they are one sample, as in ``compare``.
    """
    rows = [[row for of_seed in one.values() for row in of_seed] for one in (runs, base)]
    kept = [
        list(one.values())[: 1 if came_out_the_same(of) else None] for one, of in zip((runs, base), rows, strict=True)
    ]
    found: list[Compared] = []
    for metric, lower_is_better in COMPARED.items():
        values = [[_values(of_seed, metric) for of_seed in one] for one in kept]
        if not all(all(one) for one in values):
            continue
        ours, theirs = ([math.fsum(v) / len(v) for v in one] for one in values)
        row = {"arm": arm, "baseline": baseline, "metric": metric, "basis": SEEDS, "seed": None}
        found.append((row, welch(ours, theirs), math.fsum(theirs) / len(theirs), lower_is_better))
    return found


def are_one_sample(rows: list[dict[str, Any]]) -> bool:
    """Whether there is one seed, or every arm came out the same with each."""
    arms = {row["arm"] for row in rows}
    is_one_seed = len({row["seed"] for row in rows}) == 1
    return is_one_seed or all(came_out_the_same(row for row in rows if row["arm"] == arm) for arm in arms)


def came_out_the_same(rows: Iterable[dict[str, Any]]) -> bool:
    """Whether runs of one arm, at least one, do not differ in anything that is compared."""
    return len({tuple(row.get(metric) for metric in COMPARED) for row in rows}) == 1


def _samples(runs: Runs, base: Runs) -> tuple[Runs, Runs]:
    """The seeds that both have; one of them where the others are the same once more."""
    both = [seed for seed in runs if seed in base]
    if len(both) > 1 and all(came_out_the_same(row for seed in both for row in arm[seed]) for arm in (runs, base)):
        both = both[:1]
    return {seed: runs[seed] for seed in both}, {seed: base[seed] for seed in both}


def _over_runs(arm: str, baseline: str, metric: str, runs: Runs, base: Runs) -> Compared | None:
    found = [(_values(runs[seed], metric), _values(base[seed], metric)) for seed in runs if seed in base]
    pairs = [pair for pair in found if pair[0] and pair[1]]
    if not pairs:
        return None
    # An arm that runs once a seed would be the same in every repeat.
    n = max(len(values) for pair in pairs for values in pair)
    ours, theirs = np.stack([[values * n if len(values) == 1 else values for values in pair] for pair in pairs], axis=1)
    row = {"arm": arm, "baseline": baseline, "metric": metric, "basis": SEEDS, "seed": None}
    return row, over_runs(ours - theirs), math.fsum(theirs.ravel()) / theirs.size, COMPARED[metric]


def _values(rows: list[dict[str, Any]], metric: str) -> list[float]:
    """A metric in each repeat; none where one lacks it."""
    values = [row.get(metric) for row in rows]
    return [] if None in values else [float(value) for value in values if value is not None]


def _within(arm: str, baseline: str, seed: int, after: Any, before: Any) -> Compared | None:
    if after is None or len(after) != len(before):
        return None
    difference = within(after, before)
    if difference is None:
        return None
    row = {"arm": arm, "baseline": baseline, "metric": REQUEST_LATENCY, "basis": TRACE, "seed": seed}
    return row, difference, float(before.mean()), True


def judged(compared: list[Compared | None]) -> list[dict[str, Any]]:
    """Rows of all that is said together, such as one metric of all arms: the correction needs them together."""
    known = [one for one in compared if one is not None]
    adjusted = holm([difference.p_value for _, difference, _, _ in known])
    rows = []
    for (row, d, base_mean, lower_is_better), p_holm in zip(known, adjusted, strict=True):
        is_open = math.isnan(d.p_value)
        rows.append(
            {
                **row,
                "n_pairs": d.n,
                "n_repeats": d.n_repeats,
                "method": d.method,
                "block_length": d.block_length,
                "baseline_mean": base_mean,
                "difference": d.mean,
                "relative_difference_ratio": d.mean / base_mean if base_mean else None,
                "low": _number(d.low),
                "high": _number(d.high),
                "bca_low": _number(d.bca_low),
                "bca_high": _number(d.bca_high),
                "p_value": _number(d.p_value),
                "p_holm": _number(p_holm),
                "effect_size": _number(d.effect_size),
                "verdict": TOO_FEW if is_open else verdict(d, p_holm, base_mean, lower_is_better=lower_is_better),
                "n_to_settle": n_to_settle(d, base_mean),
            }
        )
    return rows


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
