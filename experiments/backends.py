"""Whether a learned policy pays with the latencies that its backends really had, beside what single numbers say."""

from pathlib import Path
from typing import Any

from experiments.compare import compare
from experiments.compare.table import REQUEST_LATENCY
from experiments.ladder import rung_of
from experiments.means import mean_of
from experiments.report import time_text

_TIMES = ("p50_ns", "p99_ns", "p50_inference_simulated_ns", "p50_inference_cold_ns", "mean_latency_ns")
Row = dict[str, Any]


def of_backends(baseline: str, rows: list[Row], references: dict[str, Row], folder: Path) -> list[Row]:
    """What the policy comes to with each backend's latencies as they were measured, against the others."""
    arms = {arm: rung for arm in dict.fromkeys(row["arm"] for row in rows) if (rung := rung_of(arm)) is not None}
    measured = {arm: rung for arm, rung in arms.items() if rung.backend != "fixed" and rung.value == 1}
    against = [baseline, *best_classical(baseline, references)]
    verdicts = {
        other: {
            row["arm"]: row["verdict"]
            for row in compare([row for row in rows if row["arm"] in {other, *measured}], other, folder)
            if row["metric"] in ("mean_latency_ns", REQUEST_LATENCY)
        }
        for other in against
    }
    return [
        {
            "backend": rung.backend,
            "mode": rung.mode,
            "mean_latency_ns": mean_of(rows, arm, "mean_latency_ns"),
            **{f"against_{other}": verdicts[other][arm] for other in against},
        }
        for arm, rung in measured.items()
    ]


def best_classical(baseline: str, references: dict[str, Row]) -> list[str]:
    """The best policy that neither learns nor is the baseline, if there is one."""
    return sorted((arm for arm in references if arm != baseline), key=lambda a: references[a]["mean_latency_ns"])[:1]


def print_backends(console: Any, backends: list[dict[str, Any]]) -> None:
    """Whether it pays with what was measured here, whatever the headline says of single latencies."""
    from rich.table import Table

    table, against = Table(), [name for name in (backends[0] if backends else {}) if name.startswith("against_")]
    times = ("p50", "p99", "p50 paused", "p50 cold", "mean latency")
    for column in ("backend", "mode", *times, *(f"vs {n.split('_', 1)[1]}" for n in against)):
        table.add_column(column)
    for row in backends:
        texts = (time_text(row[name]) for name in _TIMES)
        table.add_row(row["backend"], row["mode"], *texts, *(row[name] for name in against))
    console.print("With the latencies that each backend had here (a distribution, not one number)", highlight=False)
    console.print(table)
