"""What pays, by what is heard: the rule by hand, and a link that wrong blocks overload."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tierfetch
from policies.paying import Rule
from policies.timing import Timing
from simulator.policy import Fate, Told

TIMING = Timing(1000, lambda h: 0.0, wrong_ns=250, inference_ns=None, is_sync=False, occupied_ns=100)


def test_by_hand() -> None:
    rule = Rule(0.7, TIMING)
    assert rule.hears
    # 250 / (1000 + 250): what is estimated is a wrong block's cost, whatever else is said to be the threshold.
    assert rule.least() == 0.2
    # What was fetched pushed out 64 blocks that were missed, a right one as a wrong one: (64 x 1000 + 64 x 250) / 192.
    rule.told(Told([1] * 128, [Fate.TIMELY] * 64 + [Fate.EVICTED_UNUSED] * 64, n_polluted=64))
    assert rule.least() == pytest.approx(416.667 / 1416.667)
    # 128 late ones beside 64 that came in time and 64 that are thought to have: each occupies its links for another.
    rule.told(Told([1] * 129, [Fate.LATE] * 128 + [Fate.CANCELLED]))
    assert rule.least() == pytest.approx((250 + 100) / (1000 + 350))
    assert rule.heard == {"n_timely": 64, "n_late": 128, "n_wrong": 64, "n_polluted": 64}


def test_without_a_timing_nothing_changes_it() -> None:
    for threshold in (0.3, math.inf):
        rule = Rule(threshold)
        rule.told(Told([1] * 64, [Fate.EVICTED_UNUSED] * 64, n_polluted=64))
        assert (rule.hears, rule.least()) == (False, threshold)


def overloaded(folder: Path, **policy: Any) -> Any:
    """Of each key one of two others follows, and one link brings a block at a time: all that is missed keeps it busy.

    Requests come as they come, whatever queues.
    """
    rng = np.random.default_rng(0)
    follows, keys = rng.integers(0, 120, (120, 2)), [0]
    for coin in rng.integers(0, 2, 6999):
        keys.append(follows[keys[-1], coin])
    ids = folder / "ids.txt"
    ids.write_text("\n".join(map(str, keys)) + "\n")
    lstm = {
        "kind": "lstm", "hidden": 16, "embedding": 16, "epochs": 6, "dropout": 0.0, "degree": 2, "device": "cpu",
        "backend": "compiled", "in_gpu_memory": False, **policy,
    }  # fmt: skip
    tier = {"name": "hbm", "capacity": "40 KiB", "latency": "350 ns", "bandwidth": "2 TB/s"}
    content = {
        "name": "overloaded", "seeds": [0],
        "workload": {
            "source": {"kind": "ids", "path": str(ids), "block": "4 KiB"}, "train_ratio": 0.25,
            "arrivals": {"kind": "poisson", "mean_gap": "108 us"},
        },
        "system": {
            "tiers": [tier], "links": [{"call": "100 us", "bandwidth": "25 GB/s"}], "origin": {"kind": "store"},
        },
        "arms": ["none", {"name": "lstm", "policy": lstm, "charge": "free"}],
        "output": {"accesses": False, "prefetches": False, "inferences": False},
        "warm_up": 2000,
    }  # fmt: skip
    runs = tierfetch.Experiment.load(content).run(out=folder / "out", progress=False).runs
    return runs.set_index("arm")


def test_where_a_wrong_block_makes_others_wait_it_says_no(tmp_path: Path) -> None:
    """Half of the guesses are right, and by the estimate that pays; but each wrong one is a queue's turn."""
    (tmp_path / "hears").mkdir()
    (tmp_path / "deaf").mkdir()
    hears = overloaded(tmp_path / "hears", rule="cost")
    begins_with = float(hears.loc["lstm", "threshold"])
    assert begins_with < 0.4
    deaf = overloaded(tmp_path / "deaf", threshold=begins_with)
    with_rule, without = (
        float(runs.loc["lstm", "mean_latency_ns"] / runs.loc["none", "mean_latency_ns"]) for runs in (hears, deaf)
    )
    assert without > 1.1
    # What it asks for until it has heard enough.
    assert with_rule < 1.02
    assert hears.loc["lstm", "n_issued"] < deaf.loc["lstm", "n_issued"] / 4
