"""``python -m benchmarks.thinking [--into FOLDER]``: what learned and told policies of GPU caches may take to think.

Arms of the shipped configs of GPU caches, charged with one latency after another, whatever their own is. They decide as
if a question took 10 us. Mean latency of an access as a share of ``none``'s, for each of the configs' seeds; a picture
has the mean over seeds, and goes with ``--into`` to a folder.
"""

import argparse
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.console import Console

from experiments.config import Arm, Experiment
from experiments.loading import load
from experiments.runner import run_all
from experiments.shipped import CONFIGS
from simulator.units import parse_ns

ARMS = {
    "moe_experts": ("lstm", "gru_layer", "gate"),
    "kv_sessions": ("next_turn", "lstm", "lookahead"),
    "embedding_rows": ("lookahead", "lookahead_late", "lstm"),
}
LATENCIES = ("0 ns", "10 us", "100 us", "300 us", "1 ms", "3 ms", "10 ms", "100 ms", "1 s")
_ASSUMED = "10 us"


def _rung(arm: str, latency: str) -> str:
    return f"{arm}-at-{latency.replace(' ', '')}"


def climbing(experiment: Experiment, names: tuple[str, ...], latencies: tuple[str, ...] = LATENCIES) -> Experiment:
    """The baseline, and each of the arms with each latency."""
    arms = {arm.name: arm for arm in experiment.arms}
    rungs = [arms[experiment.baseline]]
    for name, latency in product(names, latencies):
        charge = {"kind": "fixed", "latency": latency, "assumed": _ASSUMED}
        rung = {"name": _rung(name, latency), "policy": arms[name].policy, "charge": charge, "set": arms[name].set}
        rungs.append(Arm.model_validate(rung))
    output = experiment.output.model_copy(update={"accesses": False, "prefetches": False, "inferences": False})
    return experiment.model_copy(update={"arms": tuple(rungs), "output": output})


def relative(rows: list[dict[str, Any]], baseline: str) -> dict[str, float]:
    """Of each arm the mean latency as a share of the baseline's, the mean over seeds."""
    of = {(row["arm"], row["seed"]): row["mean_latency_ns"] for row in rows}
    arms, seeds = (list(dict.fromkeys(key[i] for key in of)) for i in (0, 1))
    return {
        str(arm): float(np.mean([of[arm, seed] / of[baseline, seed] for seed in seeds]))
        for arm in arms
        if arm != baseline
    }


def draw(found: dict[str, dict[str, dict[str, float]]], folder: Path) -> list[Path]:
    """A panel a workload, a line an arm; as ``thinking.png`` and ``.svg``."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(1, len(found), figsize=(4.5 * len(found), 4), layout="constrained", squeeze=False)
    for axes, (name, lines) in zip(panels[0], found.items(), strict=True):
        for arm, points in lines.items():
            x = [parse_ns(latency) / 1e3 for latency in points]
            axes.plot(x, list(points.values()), marker="o", markersize=3, label=arm)
        axes.axhline(1, color="grey", linestyle="--", linewidth=1, label="none")
        axes.set_xscale("symlog", linthresh=10)
        axes.set_xlim(left=0)
        axes.set_title(name)
        axes.set_xlabel("latency of a question in us")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    panels[0][0].set_ylabel("mean latency of an access / none")
    paths = [folder / f"thinking.{suffix}" for suffix in ("png", "svg")]
    for path in paths:
        figure.savefig(path, dpi=120)
    plt.close(figure)
    return paths


def main() -> None:
    """Run, print a table, and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, help="a folder for the picture")
    given = parser.parse_args()
    console, found = Console(), {}
    print(f"| config | arm | {' | '.join(LATENCIES)} |\n|---|---|{'---:|' * len(LATENCIES)}")
    for config, names in ARMS.items():
        (experiment,) = load(CONFIGS / f"{config}.yaml").values()
        with TemporaryDirectory() as folder:
            rows = run_all(climbing(experiment, names), Path(folder) / "out", console, quiet=True)
        shares = relative(rows, experiment.baseline)
        found[config] = {arm: {ns: shares[_rung(arm, ns)] for ns in LATENCIES} for arm in names}
        for arm, points in found[config].items():
            print(f"| `{config}` | `{arm}` | {' | '.join(f'{share:.3f}' for share in points.values())} |", flush=True)
    if given.into is not None:
        print(", ".join(map(str, draw(found, given.into))))


if __name__ == "__main__":
    main()
