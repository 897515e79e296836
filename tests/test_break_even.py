"""The ladder of latencies: where a policy stops paying, against a table worked by hand and the closed form."""

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from experiments import bounds, break_even
from experiments.crossings import break_even as find
from experiments.crossings import closed_form, crossing
from experiments.ladder import rung_of, rungs
from experiments.loading import load
from experiments.surroundings import with_blocks, with_far_tier, with_gap
from tests.test_experiment import LSTM, config, table, write

# After more epochs it knows the cycle by heart with every seed: no two differ, and there are no intervals.
ARM = {"name": "lstm", "policy": {**LSTM, "in_gpu_memory": False, "epochs": 4}}


def content(**changes: Any) -> dict[str, Any]:
    whole = config(**changes)
    whole["arms"] = [whole["arms"][0], whole["arms"][1], ARM]
    return whole


def test_rungs_are_evenly_spread() -> None:
    assert rungs(1) == [0, 1000, 10_000, 100_000, 10**6, 10**7, 10**8]
    assert len(rungs(4)) == 22
    ratios = [b / a for a, b in zip(rungs(4)[1:], rungs(4)[2:], strict=False)]
    assert all(ratio == pytest.approx(10**0.25, rel=1e-3) for ratio in ratios)


def test_crossings_by_hand() -> None:
    """Between 10 (20 below) and 20 (60 above) a quarter of the way; never below; always below."""
    assert crossing([0, 10, 20], [-50, -20, 60]) == 12.5
    assert crossing([0, 10, 20], [5, -20, 60]) == 0
    assert crossing([0, 10, 20], [-50, -20, -1]) == math.inf
    found = find([0, 10, 20], [-50, -20, 60], [-70, -40, 40], [-30, 0, 80])
    assert found == (12.5, 10, 15)
    assert closed_form(300, 900, 1.5) == 400
    assert closed_form(900, 300, 1.5) == 0


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=20))
def test_the_interval_of_a_crossing_is_around_it(differences: list[float]) -> None:
    xs = list(range(len(differences)))
    found = find(xs, differences, [d - 3 for d in differences], [d + 2 for d in differences])
    assert found.low_ns <= found.latency_ns <= found.high_ns


def test_names_of_rungs() -> None:
    assert rung_of("fixed-sync-1000") == ("fixed", "sync", 1000)
    assert rung_of("cuda_graph-async-0.1") == ("cuda_graph", "async", 0.1)
    assert rung_of("next_n") is rung_of("my-arm") is None


def test_surroundings(tmp_path: Path) -> None:
    whole = load(write(tmp_path, content()))[""]
    assert with_gap(whole, 4).workload.arrivals.think == 4_000_000  # type: ignore[union-attr]
    far = with_far_tier(whole, 0.25).system
    assert (far.origin.latency, far.links[-1].call) == (75_000, 1750)  # type: ignore[union-attr]
    large = with_blocks(whole, 4)
    assert large.workload.source.block == 16384  # type: ignore[union-attr]
    assert large.system.tiers[0].capacity == 4 * whole.system.tiers[0].capacity
    assert len({e.folder_hash() for e in (whole, with_gap(whole, 4), with_far_tier(whole, 4), large)}) == 4


def test_the_synchronous_break_even_is_the_closed_form(tmp_path: Path) -> None:
    """A closed loop of one stream: within 2 %; and the same blocks are wanted at every rung."""
    path, out = write(tmp_path, content()), tmp_path / "out"
    result = CliRunner().invoke(break_even.app, [str(path), "--out", str(out), "--per-decade", "2"])
    assert result.exit_code == 0, result.output
    crossings = table(out, "crossings.parquet").set_index(["mode", "against"])
    for against in ("none", "next_n"):
        row = crossings.loc["sync", against]
        assert row["break_even_ns"] == pytest.approx(row["closed_form_ns"], rel=0.02)
        assert row["low_ns"] <= row["break_even_ns"] <= row["high_ns"]
        # More than all of a miss cannot be saved.
        assert 1000 < row["break_even_ns"] < 308_000
    rows = table(out, "break_even.parquet")
    fixed = rows[(rows["arm"] == "lstm") & (rows["mode"] == "sync")].sort_values("inference_p50_ns")
    # Each microsecond of thinking is one of waiting: a straight line, as every access asks once.
    rise = (fixed["mean_latency_ns"] - fixed["mean_latency_ns"].iloc[0]).to_numpy()
    assert rise == pytest.approx(fixed["inference_p50_ns"].to_numpy(), rel=1e-6, abs=1)
    assert (fixed["ci_low_ns"] <= fixed["mean_latency_ns"]).all()
    assert (fixed["mean_latency_ns"] <= fixed["ci_high_ns"]).all()
    measured = rows[rows["arm"] == "lstm (compiled)"].groupby("latency_scale")["inference_p50_ns"].mean()
    assert measured[10.0] / measured[0.1] == pytest.approx(100, rel=0.1)
    ladder = table(out / "ladder", "runs.parquet")
    of_rungs = ladder[ladder["arm"].str.startswith("fixed-sync") & (ladder["seed"] == 0)]
    assert of_rungs["n_proposed"].nunique() == 1
    assert (out / "break_even.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (out / "break_even.svg").read_text()
    assert "pays up to" in result.output


@pytest.mark.parametrize(
    ("changes", "arguments", "expected"),
    [
        ({}, ["--arm", "lstn"], "--arm lstn: no such arm; expected one of none, next_n, lstm"),
        ({}, ["--arm", "next_n"], "--arm next_n: does not learn"),
        ({"variants": [{"name": "a", "set": {}}, {"name": "b", "set": {}}]}, [], "--variant: expected one of a, b"),
    ],
)
def test_bad_input(tmp_path: Path, changes: dict[str, Any], arguments: list[str], expected: str) -> None:
    path = write(tmp_path, content() | changes)
    result = CliRunner().invoke(break_even.app, [str(path), "--out", str(tmp_path / "out"), *arguments])
    assert result.exit_code == 2, result.output
    assert expected in result.stderr
    assert not (tmp_path / "out").exists()


def test_bounds_put_a_policy_between_nothing_and_the_oracle(tmp_path: Path) -> None:
    whole = content(seeds=[0])
    whole["workload"]["source"]["spacing"] = 8
    path, out = write(tmp_path, whole), tmp_path / "out"
    result = CliRunner().invoke(bounds.app, [str(path), "--out", str(out)])
    assert result.exit_code == 0, result.output
    found = table(out, "bounds.parquet").set_index("arm")
    assert set(found.index) == {"none", "next_n", "lstm", "lstm_free", "oracle", "demand_belady"}
    share = found["captured_ratio"]
    assert (share["none"], share["oracle"]) == (0, 1)
    # 40 blocks in a circle, room for 25: LRU never hits, next-N's neighbours are strangers, Belady keeps two thirds.
    assert abs(share["next_n"]) < 0.2
    assert 0.3 < share["demand_belady"] < 0.9
    assert share["next_n"] < share["lstm"] <= share["lstm_free"] + 0.05 <= 1.1
    assert "of the possible gain" in result.output
