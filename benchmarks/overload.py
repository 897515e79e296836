"""``python -m benchmarks.overload``: an LSTM that is asked more than it can answer, with each queue, by think time.

Two recorded traces (the folder that TIERFETCH_TRACES names), of each the first 40,000 accesses, half of them to train
on. Ages are from question to answer, of those that were answered; the step is what one was charged, at the median.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

import tierfetch

THINK = ("0 us", "1 us", "10 us", "50 us", "100 us", "1 ms")
TRACES: dict[str, dict[str, Any]] = {
    "orm": {"kind": "binary_ids", "path": "cache2k_orm-busy.trace.xz", "block": "16 KiB"},
    "lirs_multi1": {"kind": "ids", "path": "lirs_multi1.trace.gz", "block": "64 KiB"},
}
_LSTM = {"kind": "lstm", "encoding": "delta", "backend": "compiled", "device": "cpu", "epochs": 6, "threshold": 0.3}


def config_of(source: dict[str, Any], think: str, queue: str, accesses: int) -> dict[str, Any]:
    """As a config file has it."""
    fast = {"read_bandwidth": "55 GB/s", "write_bandwidth": "55 GB/s"}
    tiers = [
        {"name": "hbm", "capacity": "16 MiB", "latency": "1 us", "bandwidth": "2 TB/s"},
        {"name": "dram", "capacity": "64 MiB", "latency": "1 us", "bandwidth": "100 GB/s"},
    ]
    return {
        "name": "overload", "seeds": [0],
        "workload": {
            "source": {"kind": "slice", "accesses": accesses, "source": source},
            "arrivals": {"kind": "closed", "think": think},
        },
        "system": {
            "tiers": tiers,
            "links": [{"call": "7 us", **fast}, {"call": "10 us", "channels": 4, "bandwidth": "6 GB/s"}],
            "origin": {"kind": "store", "latency": "80 us"}, "inference": {"queue": queue},
        },
        "arms": ["none", {"name": "lstm", "policy": _LSTM, "charge": {"kind": "measured"}}],
    }  # fmt: skip


def row_of(name: str, think: str, queue: str, folder: Path, accesses: int) -> str:
    """A row of the table: one experiment."""
    config = config_of(TRACES[name], think, queue, accesses)
    results = tierfetch.Experiment.load(config).run(out=folder, progress=False)
    runs = results.runs.set_index("arm")
    lstm, none = runs.loc["lstm"], runs.loc["none"]
    rows = results.inferences("lstm")
    done = rows[rows["status"] == "answered"]
    ages = (done["ended_ns"] - done["asked_ns"]) / 1e3
    n = lstm["n_asked"]
    return (
        f"| {name} | {think} | {queue} | {lstm['n_questions_answered'] / n:.3f} | "
        f"{lstm['n_questions_superseded'] / n:.3f} | {lstm['n_questions_queue_full'] / n:.3f} | "
        f"{ages.median():.1f} | {ages.quantile(0.99):.1f} | {done['charged_ns'].median() / 1e3:.1f} | "
        f"{lstm['mean_latency_ns'] / none['mean_latency_ns']:.3f} |"
    )


def main() -> None:
    """Print the table as it grows; an argument is how many accesses of each trace to take."""
    accesses = int(sys.argv[1]) if len(sys.argv) > 1 else 40_000
    console = Console(width=160)
    console.print(
        "| trace | think | queue | answered | superseded | queue full | age p50 us | p99 us | step us | to none |"
    )
    console.print("|---|---|---|---:|---:|---:|---:|---:|---:|---:|")
    with TemporaryDirectory() as folder:
        for name in TRACES:
            for think in THINK:
                for queue in ("fifo", "newest_first"):
                    out = Path(folder) / f"{name}-{think}-{queue}"
                    console.print(row_of(name, think, queue, out, accesses), highlight=False, markup=False)


if __name__ == "__main__":
    main()
