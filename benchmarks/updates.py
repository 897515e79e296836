"""``python -m benchmarks.updates [TRACE ...]``: does it pay to go on learning, and who may be charged for it?

The pieces are those of ``benchmarks.headroom``. An LSTM as it was trained, and one that is trained again while it runs,
every 500 accesses on the last 1,000: for nothing, on the inference server while nobody asks, and on a device of its
own. Questions are charged 10 us each, what training takes as measured: the cores should have nothing else to do. Three
training seeds.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tierfetch
from benchmarks.headroom import TRACES, config_of

SEEDS = (0, 1, 2)
LSTM: dict[str, Any] = {
    "kind": "lstm", "encoding": "delta", "backend": "compiled", "degree": 4, "threshold": 0.1, "in_gpu_memory": False,
}  # fmt: skip
UPDATE = {"every": 500, "window": 1000}
WHERE = ("free", "shared", "side")
CHARGE = "fixed(latency=10 us)"


def rows_of(source: dict[str, Any], folder: Path) -> list[str]:
    """A table's rows: each arm's mean latency over ``none``'s, its top-1, and what became of its updates."""
    updated = {where: {**LSTM, "update": {**UPDATE, "where": where}} for where in WHERE}
    content = config_of(source, {}, "free")
    content["seeds"], content["baseline"] = list(SEEDS), "none"
    arms = {"as trained": LSTM, **updated}
    content["arms"] = [
        "none", *({"name": f"arm{i}", "policy": policy, "charge": CHARGE} for i, policy in enumerate(arms.values())),
    ]  # fmt: skip
    runs = tierfetch.Experiment.load(content).run(out=folder, progress=False).runs
    none = runs.loc[runs["arm"] == "none", "mean_latency_ns"].mean()
    found = []
    for i, name in enumerate(arms):
        of_arm = runs[runs["arm"] == f"arm{i}"]
        ratios = sorted(of_arm["mean_latency_ns"] / none)
        said = [f"{sum(ratios) / len(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})"]
        said.append(f"{of_arm['top1_ratio'].mean():.3f}")
        if of_arm["n_updates"].notna().all():
            said += [f"{of_arm[column].mean():.1f}" for column in ("n_updates", "n_updates_over")]
            said += [
                f"{of_arm[column].mean() / 1e6:.0f}" for column in ("mean_update_charged_ns", "mean_update_age_ns")
            ]
        found.append(" | ".join([name, *said]))
    return found


def main() -> None:
    """Those that are named, or all."""
    print("| trace | LSTM | mean latency / none | top-1 | updates | over | charged ms | there after ms |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for name in sys.argv[1:] or TRACES:
        with TemporaryDirectory() as folder:
            for row in rows_of(TRACES[name], Path(folder)):
                print(f"| {name} | {row} |", flush=True)


if __name__ == "__main__":
    main()
