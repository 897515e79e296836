"""Each arm against the baseline: paired differences over seeds, with Student's interval (the ``comparisons`` table)."""

import math
from typing import Any

from scipy import stats

COMPARED = (
    "hit_ratio",
    "mean_latency_ns",
    "p50_latency_ns",
    "p99_latency_ns",
    "p999_latency_ns",
    "coverage_ratio",
    "end_ns",
)
CONFIDENCE = 0.95


def interval(differences: list[float]) -> tuple[float, float, float] | None:
    """Mean and 95 % interval of paired differences; without one (NaN) from a single pair; None from none."""
    n = len(differences)
    if n == 0:
        return None
    mean = math.fsum(differences) / n
    if n == 1:
        return mean, math.nan, math.nan
    deviation = math.sqrt(math.fsum((d - mean) ** 2 for d in differences) / (n - 1))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * deviation / math.sqrt(n)
    return mean, mean - half, mean + half


def compare(rows: list[dict[str, Any]], baseline: str) -> list[dict[str, Any]]:
    """A row for each arm and metric: the mean difference to the baseline over the seeds that both have."""
    by_arm: dict[str, dict[int, dict[str, Any]]] = {}
    for row in rows:
        by_arm.setdefault(row["arm"], {})[row["seed"]] = row
    base = by_arm.get(baseline, {})
    compared = []
    for arm, runs in by_arm.items():
        if arm == baseline:
            continue
        for metric in COMPARED:
            pairs = [
                (runs[seed][metric], base[seed][metric])
                for seed in runs
                if seed in base and runs[seed][metric] is not None and base[seed][metric] is not None
            ]
            found = interval([float(a) - float(b) for a, b in pairs])
            if found is None:
                continue
            mean, low, high = found
            base_mean = math.fsum(float(b) for _, b in pairs) / len(pairs)
            compared.append(
                {
                    "arm": arm,
                    "baseline": baseline,
                    "metric": metric,
                    "n_seeds": len(pairs),
                    "baseline_mean": base_mean,
                    "difference": mean,
                    "low": None if math.isnan(low) else low,
                    "high": None if math.isnan(high) else high,
                    "relative_difference_ratio": mean / base_mean if base_mean else None,
                    "shown": not math.isnan(low) and (low > 0 or high < 0),
                }
            )
    return compared
