"""The accuracy and latency commands, the ceilings they state, and what the LSTM must reach."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy import stats
from typer.testing import CliRunner

from experiments import accuracy, latency
from experiments.patterns import PATTERNS, ceiling, pattern_of
from experiments.seal import of_rows
from simulator.trace import concatenate
from tests.test_experiment import call, config, lstm_arm, write

N = 20_000
# Of what comes round and round half as many, and fewer epochs, are enough to learn it by heart.
SHORT, LONG = {"accesses": N // 2, "epochs": 6}, {"accesses": N, "epochs": 10}


def keys_of(name: str, accesses: int, seed: int = 1) -> Any:
    batch = concatenate(list(pattern_of(name).source(accesses).build(seed).batches()))
    return batch.key.astype(np.int64), batch.stream


def test_a_predictor_that_knows_the_generator_reaches_the_ceiling_and_no_more() -> None:
    """Drawn, not derived: the best guess of each generator, in 400,000 accesses, within four standard errors."""
    n = 400_000
    keys, _ = keys_of("mixed", n)
    cases = {"mixed": ((keys[:-1] + 1) % 200 == keys[1:]).mean()}
    keys, _ = keys_of("random", n)
    cases["random"] = (keys[1:] == 7).mean()
    keys, _ = keys_of("zipf", n)
    cases["zipf"] = (keys == np.bincount(keys).argmax()).mean()
    for name, reached in cases.items():
        bound = ceiling(pattern_of(name).source(n))
        assert reached == pytest.approx(bound, abs=4 * np.sqrt(bound * (1 - bound) / n))


@pytest.mark.parametrize("name", ["sequential", "strided", "periodic", "pointer_chase", "interleave"])
def test_these_patterns_hold_no_surprise(name: str) -> None:
    """A table of what followed the last 50 keys of a stream, made of its first half, knows every access of the second.

    Of keys for what repeats, of steps for what does not: a ceiling of 1 claims just that.
    """
    keys, streams = keys_of(name, 4000)
    for stream in np.unique(streams):
        mine = keys[streams == stream]
        values = mine if len(np.unique(mine)) < len(mine) // 2 else np.diff(mine)
        half = len(values) // 2
        order = min(50, half // 2)
        followed = {tuple(values[i - order : i]): values[i] for i in range(order, half)}
        assert all(followed[tuple(values[i - order : i])] == values[i] for i in range(half + order, len(values)))


SUITED = [
    ("sequential", "delta", 0.99, SHORT),
    ("strided", "delta", 0.99, SHORT),
    ("periodic", "key", 0.99, SHORT),
    ("pointer_chase", "key", 0.99, SHORT),
    ("interleave", "delta", 0.99, LONG),
    ("mixed", "key", 0.98, LONG),
]


@pytest.mark.parametrize(("name", "encoding", "share", "size"), SUITED, ids=[name for name, *_ in SUITED])
def test_the_suited_encoding_reaches_its_ceiling(name: str, encoding: str, share: float, size: dict[str, int]) -> None:
    row = accuracy.measure(pattern_of(name), encoding, device="cpu", seed=0, **size)
    assert row["top1_ratio"] >= share * row["ceiling_ratio"]
    # Times are real ones, of real calls.
    assert 1000 < row["inference_p50_ns"] < row["inference_p99_ns"]


def test_random_is_at_its_ceiling_within_noise() -> None:
    row = accuracy.measure(pattern_of("random"), "key", device="cpu", seed=0, **LONG)
    n_right = round(row["top1_ratio"] * (N // 2 - 1))
    assert stats.binomtest(n_right, N // 2 - 1, row["ceiling_ratio"]).pvalue > 0.001


def test_on_noise_the_policy_holds_still(tmp_path: Path) -> None:
    """Uncharged and on random keys: next to no prefetch, and the mean latency of none within 1 %."""
    content = config(seeds=[0])
    content["workload"]["source"] = {"kind": "random", "accesses": 10_000, "block": "64 KiB", "n_keys": 400}
    content["system"]["tiers"][0]["capacity"] = "64 MiB"
    policy = {"threshold": 0.5, "encoding": "key", "vocabulary": 1024, "hidden": 64, "embedding": 64}
    content["arms"] = [content["arms"][0], lstm_arm({"kind": "free"})]
    content["arms"][1]["policy"].update(policy, in_gpu_memory=True)
    assert call(write(tmp_path, content), "--out", tmp_path / "out").exit_code == 0
    runs = pd.read_parquet(tmp_path / "out" / "runs.parquet").set_index(["arm", "seed"])
    none, lstm = runs.loc[("none", 0)], runs.loc[("lstm", 0)]
    assert lstm["n_issued"] <= 0.001 * lstm["n_accesses"]
    assert lstm["footprint_bytes"] > 0
    assert lstm["mean_latency_ns"] == pytest.approx(none["mean_latency_ns"], rel=0.01)


def test_the_accuracy_command(tmp_path: Path) -> None:
    arguments = ["--out", str(tmp_path), "--patterns", "sequential,zipf", "--encodings", "delta", "--accesses", "1000"]
    result = CliRunner().invoke(accuracy.app, [*arguments, "--epochs", "2", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    table = pd.read_parquet(tmp_path / "accuracy.parquet")
    assert tuple(table.columns) == accuracy.COLUMNS
    assert table["pattern"].tolist() == ["sequential", "zipf"]
    assert table.loc[0, "next1_ratio"] == 1
    assert table.loc[1, "ceiling_ratio"] == pytest.approx(0.1336, abs=1e-4)
    assert (table["train_s"] > 0).all()
    assert "70-85 %" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--patterns", "sequental"], "expected some of sequential, strided"),
        (["--encodings", "keys"], "expected some of key, delta, page_offset"),
        (["--device", "gpu"], "expected auto, cpu, cuda"),
    ],
)
def test_wrong_requests_are_refused(tmp_path: Path, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(accuracy.app, ["--out", str(tmp_path / "out"), *arguments])
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "out" / "accuracy.parquet").exists()


FEW_CALLS = ("--windows", "4", "--calls", "100", "--device", "cpu")


def test_the_latency_command(tmp_path: Path) -> None:
    result = CliRunner().invoke(latency.app, ["--out", str(tmp_path), *FEW_CALLS, "--pauses", "9 us,20 us"])
    assert result.exit_code == 0, result.output
    table = pd.read_parquet(tmp_path / "latency.parquet").set_index(["backend", "inference", "pace"])
    assert set(table.index.unique("pace")) == {"back_to_back", "paused"}
    assert (table["first_ns"] > 0).all()
    assert set(table.index.unique("backend")) == {"compiled", "onnx", "eager"}
    assert (table["n_calls"] == 100).all()
    assert (table["p50_ns"] <= table["p99_ns"]).all()
    assert table.loc[("eager", "window", "paused"), "speedup_ratio"] == 1
    rounds = pd.read_parquet(tmp_path / "latency_rounds.parquet")
    assert len(rounds) == 20 * len(table)
    assert rounds["n_calls"].sum() == table["n_calls"].sum()
    parts = pd.read_parquet(tmp_path / "latency_parts.parquet").set_index("backend")
    assert (parts.filter(regex="^(python|empty_launch|network|rest)_ns$").sum(axis=1) == parts["total_ns"]).all()
    assert (parts[["python_ns", "network_ns"]] > 0).all(axis=None)
    assert parts.loc["eager", "rest_ns"] < parts.loc["eager", "total_ns"] / 2
    # Sealed, with where it was.
    metadata = {k.decode(): v.decode() for k, v in pq.read_metadata(tmp_path / "latency.parquet").metadata.items()}
    described = {k: v for k, v in metadata.items() if k not in ("seal_sha256", "ARROW:schema")}
    assert json.loads(described["provenance"])["n_cpus"] == os.cpu_count()
    found = pq.read_table(tmp_path / "latency.parquet").to_pylist()
    assert of_rows(found, described) == metadata["seal_sha256"]
    for option, text, said in (
        ("--windows", "8,no", "expected whole numbers from 1 to 4096"),
        ("--pauses", "2 ms,1 ms", "expected two times in rising order"),
    ):  # fmt: skip
        refused = CliRunner().invoke(latency.app, ["--out", str(tmp_path), option, text])
        assert refused.exit_code == 2
        assert said in refused.stderr


def test_an_interrupted_latency_command_wrote_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it says: not the pictures of what it had measured either."""
    passes: list[Any] = []

    def timed(*arguments: Any) -> Any:
        passes.append(arguments)
        if len(passes) == 2:
            raise KeyboardInterrupt
        return measured(*arguments)

    measured = latency.timed
    monkeypatch.setattr(latency, "timed", timed)
    result = CliRunner().invoke(latency.app, ["--out", str(tmp_path / "out"), *FEW_CALLS, "--touched", "1 MiB"])
    assert result.exit_code == 130, result.output
    assert "nothing was written" in result.stderr
    assert list((tmp_path / "out").rglob("*.*")) == []


def test_patterns_are_what_the_table_promises() -> None:
    assert {pattern.name for pattern in PATTERNS} == {
        "sequential", "strided", "periodic", "mixed", "random", "pointer_chase", "interleave", "zipf",
    }  # fmt: skip
