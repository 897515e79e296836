"""No policy knows what is to come: another future changes nothing of what it wanted before."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.test_experiment import call, config, write
from tests.test_policies import EXAMPLES, SMALL

N_TRAIN, N_COMMON = 300, 220
_WARM = ("next_n", "hybrid", "selector", "spp", "isb", "probability_graph", "amp", "pythia")
_MODEL = {
    "kind": "model", "encoder": "delta", "vocabulary": 32, "train": {"epochs": 2}, "degree": 2, "in_gpu_memory": False,
    "device": "cpu",
}  # fmt: skip
_QUESTION = ["access", "predicted_key", "confidence", "n_at_once"]
_PREFETCH = ["prefetch", "inference", "access", "key", "proposed_ns", "confidence", "expert"]


def arms() -> dict[str, dict[str, Any]]:
    """Each kind of policy, tables cold and warm, networks as they are and inside a hybrid."""
    warm = {f"{name}-warm": {**EXAMPLES[name], "start": "warm"} for name in _WARM}
    network = {**SMALL, "encoding": "delta", "backend": "compiled", "in_gpu_memory": False}
    others = {"hybrid-lstm": {**EXAMPLES["hybrid"], "experts": [{"kind": "stride"}, network], "start": "warm"}}
    # Trained on every 50 accesses: the last time before the other future begins, or at its first access.
    others["lstm-updated"] = {**network, "update": {"every": 50, "window": 100}}
    others["hybrid-lstm-later"] = others["hybrid-lstm"]
    others["hybrid-cost"] = {**EXAMPLES["hybrid"], "rule": "cost", "start": "warm"}
    # What is to come is the target here, and in training alone.
    others["lstm-set"] = {**network, "target": "set", "horizons": [4], "degree": 3}
    others["lstm-delta-offset"] = {**network, "encoding": "delta_offset", "page_blocks": 8, "degree": 2}
    others["lstm-cost"] = {**network, "rule": "cost", "degree": 3}
    for model in ("gru", "mlp", "transformer"):
        others[model] = {**_MODEL, "model": model, **({"context": {"window": 4}} if model != "gru" else {})}
    others["mlp-columns"] = {**others["mlp"], "columns": ["position", "op"]}
    others["mlp-updated"] = {**others["mlp"], "update": {"every": 50, "window": 100}}
    # One that is asked when requests arrive needs a system in which they wait, which has no room for the others here.
    left_out = ("none", "queue_time")
    every = {name: policy for name, policy in {**EXAMPLES, **warm, **others}.items() if name not in left_out}
    free = {"in_gpu_memory": False}
    return {
        name.replace(", ", "-").replace(" ", "-"): {**policy, **(free if policy["kind"] == "lstm" else {})}
        for name, policy in every.items()
    }


def charge_of(arm: str) -> Any:
    """Whose models answer later: before the next access all the same, so that what comes then changes no question."""
    return {"kind": "fixed", "latency": "30 us"} if arm.endswith("-later") else "free"


def test_another_future_changes_nothing_before_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    walk = np.cumsum(rng.choice([1, 1, 1, 2, -3], N_TRAIN + N_COMMON)) % 400
    found: list[dict[str, Any]] = []
    for name in ("one", "other"):
        future = walk[:260] if name == "one" else rng.integers(0, 10**6, 260)
        keys = [*walk.tolist(), *future.tolist()]
        (tmp_path / f"{name}.txt").write_text("".join(f"{key}\n" for key in keys))
        content = config(
            seeds=[0],
            workload={
                "source": {"kind": "ids", "path": f"{name}.txt", "block": "4 KiB"},
                "arrivals": {"kind": "closed", "think": "100 us"},
                "train_ratio": N_TRAIN / len(keys),
            },
            arms=[
                "none",
                *({"name": arm, "policy": policy, "charge": charge_of(arm)} for arm, policy in arms().items()),
            ],
        )
        result = call(write(tmp_path, content, f"{name}.yaml"), "--out", tmp_path / name)
        assert result.exit_code == 0, result.output
        tables: dict[str, Any] = {}
        for arm in arms():
            prefetches = pd.read_parquet(tmp_path / name / "prefetches" / f"{arm}-0.parquet")
            wanted = prefetches[prefetches["access"] < N_TRAIN + N_COMMON].sort_values("prefetch")
            asked = pd.read_parquet(tmp_path / name / "inferences" / f"{arm}-0.parquet")
            asked = asked[asked["access"] < N_TRAIN + N_COMMON]
            tables[arm] = wanted[_PREFETCH].to_csv(index=False), asked[_QUESTION].to_csv(index=False)
        found.append(tables)
    one, other = found
    # Some are told what comes, as the oracle is: what is compared would show it.
    assert {arm for arm in one if one[arm] != other[arm]} == {"oracle", "lookahead", "expert_gate"}
    assert sum(wanted.count("\n") > 20 for wanted, _ in one.values()) > len(one) / 2
