"""``python -m benchmarks.standings [TRACE ...]``: which policy is how fast where, charged and uncharged.

The system of ``benchmarks.headroom``. Of each trace three slices of 20,000 accesses, spread over it (a trace that is
shorter is one), half of each to learn from. All classics and tables cold and warm, the control, hybrids, and LSTMs by
what they predict; what is trained runs with three seeds. Charged: nothing, 10 us, 100 us, and what a question takes of
this machine's processor. Finished runs are kept in ``--out``; the tables go to the terminal, or into a page.
"""

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

import tierfetch
from benchmarks.headroom import CLASSICS, TRACES, N, config_of
from benchmarks.standing_tables import Learned, tables
from benchmarks.verdicts import NONE, ORACLE, Slice
from experiments.compare.requests import request_latencies
from experiments.shootout import put
from policies.experts import USUAL
from workloads.registry import SOURCES

CHARGES: dict[str, Any] = {
    "free": "free",
    "10us": "fixed(latency=10 us)",
    "100us": "fixed(latency=100 us)",
    # Other work on the machine takes nothing of it.
    "measured": {"kind": "measured", "clock": "cpu"},
}
# It runs on the CPU: nothing of it lies in tier 0.
_LSTM: dict[str, Any] = {"kind": "lstm", "encoding": "delta", "backend": "compiled", "in_gpu_memory": False}
_WARM_HYBRID: dict[str, Any] = {"kind": "hybrid", "start": "warm"}
TABLES: dict[str, dict[str, Any]] = {
    "static_deltas": {"kind": "static_deltas"},
    "pythia": {"kind": "pythia"},
    "pythia-warm": {"kind": "pythia", "start": "warm"},
    "selector": {"kind": "selector"},
    "selector-warm": {"kind": "selector", "start": "warm"},
    "hybrid": {"kind": "hybrid"},
}
CHARGED: dict[str, dict[str, Any]] = {"hybrid-warm": _WARM_HYBRID}
TRAINED: dict[str, dict[str, Any]] = {
    "lstm": _LSTM,
    "lstm-cost": {**_LSTM, "rule": "cost", "degree": 8},
    "lstm-set": {**_LSTM, "rule": "cost", "degree": 8, "target": "set", "horizons": [16]},
    "hybrid-lstm": {**_WARM_HYBRID, "experts": [*USUAL, {**_LSTM, "degree": 4}]},
}
NAMED = ("lstm-cost", "lstm-set")
"""Those whose models' accuracy is told: ``lstm`` and the hybrid's have the first one's."""


def classics() -> dict[str, dict[str, Any]]:
    """All, cold and warm; those that remember nothing are the same."""
    warm = {f"{name}-warm": {**policy, "start": "warm"} for name, policy in CLASSICS.items()}
    return {**CLASSICS, **{name: policy for name, policy in warm.items() if policy["kind"] != "next_n"}}


def charged(policies: dict[str, dict[str, Any]]) -> dict[str, tuple[dict[str, Any], Any]]:
    """Each with each charge."""
    return {f"{name}.{said}": (policy, charge) for name, policy in policies.items() for said, charge in CHARGES.items()}


def drawn_from_nothing() -> dict[str, tuple[dict[str, Any], Any]]:
    """The arms that one seed tells all of."""
    free = {**classics(), ORACLE: {"kind": "oracle"}, **TABLES}
    return {name: (policy, "free") for name, policy in free.items()} | charged(CHARGED)


def firsts(length: int, n_slices: int) -> list[int]:
    """Where slices begin: apart by the same number of accesses, as many as there is room for."""
    n = max(min(n_slices, length // N), 1)
    return [i * length // n for i in range(n)]


def run_slice(trace: str, first: int, seeds: int, out: Path) -> tuple[Slice, list[Learned]]:
    """All arms on one slice: what they took, and what models were worth."""
    means: dict[str, list[float]] = {}
    requests: dict[str, list[Any]] = {}
    learned: list[Learned] = []
    for part, arms, of_part in (
        ("tables", drawn_from_nothing(), [0]),
        ("trained", charged(TRAINED), list(range(seeds))),
    ):
        content = config_of(TRACES[trace], {}, "free", first)
        content |= {"seeds": of_part, "output": {**content["output"], "accesses": True}}
        content["arms"] = [
            NONE, *({"name": name, "policy": policy, "charge": charge} for name, (policy, charge) in arms.items()),
        ]  # fmt: skip
        folder = out / f"{trace}-{first}-{part}"
        runs = tierfetch.Experiment.load(content).run(out=folder, progress=False).runs
        for row in runs.sort_values("seed").to_dict("records"):
            arm, seed = str(row["arm"]), int(row["seed"])
            if arm == NONE and arm in means:
                continue
            means.setdefault(arm, []).append(float(row["mean_latency_ns"]))
            requests.setdefault(arm, []).append(request_latencies(folder, arm, seed))
            if arm in {f"{name}.free" for name in NAMED}:
                learned.append(Learned.of(trace, first, {str(name): value for name, value in row.items()}))
    return Slice(first, means, requests), learned


def main(
    traces: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(TRACES)}.", show_default="all")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each model.")] = 3,
    slices: Annotated[int, typer.Option(min=1, help="Slices of each trace.")] = 3,
    out: Annotated[Path, typer.Option(help="Where finished runs are kept.")] = Path("results/standings"),
    into: Annotated[Path | None, typer.Option(help="A page whose tables are replaced.")] = None,
) -> None:
    """Run what is not finished, then make the tables."""
    found: dict[str, list[Slice]] = {}
    learned: list[Learned] = []
    for trace in traces or list(TRACES):
        start = time.perf_counter()
        found[trace] = []
        length = SOURCES.validate({**TRACES[trace], "block": "4 KiB"}).build(0).length()
        for first in firsts(length, slices):
            one, models = run_slice(trace, first, seeds, out)
            found[trace].append(one)
            learned += models
            print(f"{trace}, {first:,}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    text = tables(found, [NONE, *classics()], learned)
    if into is None:
        print(text)
    else:
        put(into, text)


if __name__ == "__main__":
    typer.run(main)
