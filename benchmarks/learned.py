"""``python -m benchmarks.learned [TRACE ...]``: which network, target and encoding is worth what on recorded traces.

As ``benchmarks.headroom``: the same traces, the same system, nothing charged; mean latency as a share of ``none``'s,
the mean over seeds and in brackets the seeds' least and most. All ask by the cost rule for up to eight blocks. Weights
are not taken off tier 0: it is as small as the traces are short, and of gcc's would be nothing left.
"""

import sys
import time
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import typer

import tierfetch
from benchmarks.headroom import TRACES, config_of
from policies.hybrid import HybridConfig

_ASKS = {"degree": 8, "rule": "cost", "device": "cpu", "in_gpu_memory": False}
_NETS: dict[str, dict[str, Any]] = {
    "lstm": {"kind": "lstm", "layers": 1},
    "lstm2": {"kind": "lstm"},
    "gru": {"model": "gru", "settings": {"layers": 1}},
    "mlp8": {"model": "mlp", "context": {"window": 8}},
    "mlp32": {"model": "mlp", "context": {"window": 32}},
    "transformer": {"model": "transformer", "context": {"window": 16}},
}
_TARGETS: dict[str, dict[str, Any]] = {
    "next": {},
    "set16": {"target": "set", "horizon": 16},
    "set64": {"target": "set", "horizon": 64},
}
_ENCODINGS = ("delta", "delta_offset", "key", "page_offset")
_TRAIN = {"learning_rate": 3e-3}
CONTROLS: dict[str, dict[str, Any]] = {"static_deltas": {"kind": "static_deltas"}}


def policy_of(net: str, target: str, encoding: str) -> dict[str, Any]:
    """As a config has it: the LSTM that compiled code runs, or one of the networks that come with ``kind: model``."""
    said, about = {**_NETS[net], **_ASKS}, _TARGETS[target]
    if said.get("kind") == "lstm":
        horizons = {"horizons": [about["horizon"]], "target": "set"} if about else {}
        return {**said, "encoding": encoding, **horizons, **_TRAIN}
    return {"kind": "model", **said, "encoder": encoding, **about, "train": _TRAIN}


def arms() -> dict[str, dict[str, Any]]:
    """Every combination that there is, by the names of its parts, and some beside the hybrid's usual experts."""
    found = dict(CONTROLS)
    for encoding in _ENCODINGS:
        for target in _TARGETS:
            if encoding != "page_offset" or target == "next":
                found |= {f"{net}-{target}-{encoding}": policy_of(net, target, encoding) for net in _NETS}
    usual = HybridConfig.model_validate({"kind": "hybrid"}).experts
    experts = [expert.model_dump(mode="json") for expert in usual]
    found["hybrid"] = {"kind": "hybrid", "start": "warm"}
    for encoding in ("delta", "key"):
        for target in ("next", "set16"):
            both = [*experts, policy_of("lstm", target, encoding)]
            found[f"hybrid-with-lstm-{target}-{encoding}"] = {"kind": "hybrid", "start": "warm", "experts": both}
    return found


def shares(name: str, wanted: dict[str, dict[str, Any]], seeds: int, folder: Path) -> dict[str, list[float]]:
    """Of each arm a share a seed."""
    config = config_of(TRACES[name], wanted) | {"seeds": list(range(seeds))}
    runs = tierfetch.Experiment.load(config).run(out=folder, progress=False).runs
    latency = runs.set_index(["arm", "seed"])["mean_latency_ns"]
    return {arm: [float(latency[arm, s] / latency["none", s]) for s in range(seeds)] for arm in wanted}


def main(
    traces: Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(TRACES)}.", show_default="all")] = None,
    only: Annotated[str, typer.Option(help="Patterns of arms, as mlp8-*-delta.")] = "*",
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each.")] = 1,
) -> None:
    """A row an arm, the best of all first."""
    wanted = {arm: policy for arm, policy in arms().items() if any(fnmatch(arm, part) for part in only.split(","))}
    names, found = traces or list(TRACES), {}
    with TemporaryDirectory() as folder:
        for name in names:
            start = time.perf_counter()
            found[name] = shares(name, wanted, seeds, Path(folder) / name)
            said = ", ".join(f"{arm} {_cell(values)}" for arm, values in found[name].items())
            print(f"{name}, {time.perf_counter() - start:.0f} s: {said}", file=sys.stderr, flush=True)
    print(f"| | {' | '.join(names)} |\n|---|{'---:|' * len(names)}")
    for arm in sorted(wanted, key=lambda arm: float(np.mean([found[name][arm] for name in names]))):
        print(f"| {arm} | {' | '.join(_cell(found[name][arm]) for name in names)} |")


def _cell(values: list[float]) -> str:
    spread = f" ({min(values):.3f} to {max(values):.3f})" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{spread}"


if __name__ == "__main__":
    typer.run(main)
