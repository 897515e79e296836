"""What is said of results in tables to read: which metrics, their titles, and how numbers are written."""

import math
from typing import Any

from experiments.means import mean
from experiments.ranking import Ranking, difference_of

RATIO, TIME, COUNT = "ratio", "time", "count"
ROWS: tuple[tuple[str, str, str], ...] = (
    ("hit ratio", "hit_ratio", RATIO),
    ("  as prefixes", "prefix_hit_ratio", RATIO),
    ("mean latency", "mean_latency_ns", TIME),
    ("  of it queueing", "mean_queue_ns", TIME),
    ("  of it transfer", "mean_transfer_ns", TIME),
    ("  of it inference", "mean_inference_ns", TIME),
    ("p50 latency", "p50_latency_ns", TIME),
    ("p99 latency", "p99_latency_ns", TIME),
    ("p99.9 latency", "p999_latency_ns", TIME),
    ("found of prompts", "found_ratio", RATIO),
    ("first token", "mean_ttft_ns", TIME),
    ("  of it waiting", "mean_waiting_ns", TIME),
    ("  of it fetching", "mean_fetching_ns", TIME),
    ("  of it computing", "mean_computing_ns", TIME),
    ("p99 first token", "p99_ttft_ns", TIME),
    ("prefetches issued", "n_issued", COUNT),
    ("accuracy", "accuracy_ratio", RATIO),
    ("coverage", "coverage_ratio", RATIO),
    ("lateness", "lateness_ratio", RATIO),
    ("pollution", "pollution_ratio", RATIO),
    ("misses saved", "n_saved", COUNT),
    ("misses caused", "n_caused", COUNT),
    ("inference p50", "p50_inference_host_ns", TIME),
    ("inference p99", "p99_inference_host_ns", TIME),
    ("  back to back p50", "p50_inference_back_to_back_ns", TIME),
    ("  back to back p99", "p99_inference_back_to_back_ns", TIME),
    ("  at its pauses p50", "p50_inference_simulated_ns", TIME),
    ("  at its pauses p99", "p99_inference_simulated_ns", TIME),
    ("  cold p50", "p50_inference_cold_ns", TIME),
    ("  cold p99", "p99_inference_cold_ns", TIME),
    ("charged per inference", "mean_inference_charged_ns", TIME),
    ("training", "train_s", "seconds"),
)
_TTFT = "mean_ttft_ns"
_BRIEF = ("hit_ratio", "mean_latency_ns", "p99_latency_ns", _TTFT, "n_issued", "accuracy_ratio", "coverage_ratio")
_LABELS = {metric: label.replace("prefetches ", "") for label, metric, _ in ROWS}
SUMMARY = {
    "arm": "arm",
    **{metric: _LABELS[metric] for metric in _BRIEF[:2]},
    "relative_difference_ratio": "vs baseline",
    "verdict": "verdict",
    **{metric: _LABELS[metric] for metric in _BRIEF[2:]},
}
"""What is said of each of many arms: columns of the tables, with their titles."""


def time_text(ns: float) -> str:
    """A duration with three figures and the unit that suits it."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if abs(ns) >= size:
            return f"{ns / size:.3g} {unit}" if abs(ns) < 999.5 * size else f"{ns / size:.0f} {unit}"
    return f"{ns:.0f} ns"


def bytes_text(n: int) -> str:
    """A number of bytes in the largest unit of which there is one."""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if n >= size:
            return f"{n / size:,.4g} {unit}"
    return f"{n} B"


def number_text(value: float | None, kind: str) -> str:
    """A time, ratio, count or seconds, rounded to be read; a stroke where there is none."""
    if value is None or math.isnan(value):
        return "-"
    if kind == TIME:
        return time_text(value)
    return {"ratio": f"{value:.4f}", "count": f"{value:,.0f}", "seconds": f"{value:.1f} s"}[kind]


def ranked_text(ranked: Ranking) -> str:
    """Which arm is best, if that is shown; else which ones may be."""
    text = {arm: f"{arm} ({time_text(ns)})" for arm, ns in ranked.means.items()}
    first, *others = text
    if not ranked.level:
        return f"Lowest mean latency: {text[first]}" + (f", then {text[others[0]]}." if others else ".")
    return f"Lowest mean latency: not settled between {', '.join(text[arm] for arm in [first, *ranked.level])}."


def brief(
    of_arm: dict[str, list[dict[str, Any]]], compared: list[dict[str, Any]], baseline: str
) -> tuple[list[str], list[list[str]]]:
    """Titles of columns, and a row for each arm of its name and what matters most."""
    kinds = {metric: kind for _, metric, kind in ROWS}
    found, rows = summary(of_arm, compared), []
    titles = titles_of(found)
    for row in found:
        texts = {metric: number_text(row[metric], kinds[metric]) for metric in _BRIEF}
        relative = row["relative_difference_ratio"]
        texts["arm"] = row["arm"] + (" (baseline)" if row["arm"] == baseline else "")
        texts["relative_difference_ratio"] = "" if relative is None else f"{relative:+.1%}"
        texts["verdict"] = row["verdict"] or ""
        rows.append([texts[name] for name in titles])
    return list(titles.values()), rows


def titles_of(rows: list[dict[str, Any]]) -> dict[str, str]:
    """The columns of a summary with their titles; of first tokens only where requests have a life."""
    lives = any(row[_TTFT] is not None for row in rows)
    return {name: title for name, title in SUMMARY.items() if lives or name != _TTFT}


def summary(of_arm: dict[str, list[dict[str, Any]]], compared: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What ``brief`` says, as it is: a row for each arm, with the names that the columns have in the tables."""
    rows = []
    for arm, runs in of_arm.items():
        found = difference_of(compared, arm, "mean_latency_ns") or {}
        of_mean = {name: found.get(name) for name in ("relative_difference_ratio", "verdict")}
        row = {"arm": arm, **of_mean, **{metric: mean(runs, metric) for metric in _BRIEF}}
        rows.append({name: row[name] for name in SUMMARY})
    return rows
