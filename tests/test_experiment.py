"""The experiment from end to end: tables, replay, determinism, resuming, interruption."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from filelock import FileLock
from typer.testing import CliRunner

from benchmarks.campaign.folders import asides
from experiments.prepared import Learned
from experiments.run import app
from simulator.trace import make_batch
from tests.strategies import ListWorkload

ROOT = Path(__file__).parents[1]
LSTM = {
    "kind": "lstm",
    "layers": 2,
    "dropout": 0.1,
    "vocabulary": 64,
    "epochs": 10,
    "batch_size": 4,
    "learning_rate": 0.01,
    "embedding": 16,
    "hidden": 16,
    "window": 8,
    "threshold": 0.2,
    "device": "cpu",
}


def config(**changes: Any) -> dict[str, Any]:
    link = {"call": "7 us", "read_bandwidth": "25 GB/s", "write_bandwidth": "25 GB/s", "channels": 2}
    rate = {"read_bandwidth": "2 TB/s", "write_bandwidth": "2 TB/s"}
    base: dict[str, Any] = {
        "name": "small",
        "seeds": [0, 1],
        "workload": {
            "source": {"kind": "pointer_chase", "accesses": 1200, "block": "4 KiB", "n_keys": 40},
            "arrivals": {"kind": "closed", "think": "1 ms"},
            "train_ratio": 0.5,
        },
        "system": {
            "tiers": [{"name": "hbm", "capacity": "100 KiB", "latency": "350 ns", **rate}],
            "links": [link],
            "origin": {"kind": "store", "latency": "300 us"},
        },
        "arms": [
            {"name": "none", "policy": {"kind": "none"}},
            {"name": "next_n", "policy": {"kind": "next_n"}},
            {"name": "lstm", "policy": {**LSTM, "in_gpu_memory": False}},
        ],
        "baseline": "none",
    }
    return {**base, **changes}


def write(folder: Path, content: dict[str, Any], name: str = "config.yaml") -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def call(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def lstm_arm(charge: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "lstm", "policy": {**LSTM, "in_gpu_memory": False}, "charge": charge, **more}


def only_lstm(charge: dict[str, Any], **changes: Any) -> dict[str, Any]:
    arms = [{"name": "none", "policy": {"kind": "none"}}, lstm_arm(charge)]
    return config(arms=arms, seeds=[0], **changes)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("measured")
    result = call(write(folder, config()), "--out", folder / "out")
    assert result.exit_code == 0, result.output
    return folder


def table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_parquet(folder / name)


def test_tables_and_books(measured: Path) -> None:
    out = measured / "out"
    runs = table(out, "runs.parquet")
    assert runs[["arm", "seed"]].values.tolist() == [[a, s] for a in ("none", "next_n", "lstm") for s in (0, 1)]
    accesses = table(out, "accesses")
    assert len(accesses) == 6 * 600
    parts = accesses[["service_ns", "queue_ns", "transfer_ns", "inference_ns"]].sum(axis=1)
    assert (parts == accesses["latency_ns"]).all()
    # The runs table can be recomputed from the accesses and prefetches.
    for row in runs.to_dict("records"):
        mine = accesses[(accesses["arm"] == row["arm"]) & (accesses["seed"] == row["seed"])]
        assert mine["access"].sort_values().tolist() == list(range(600, 1200))
        hits = mine["outcome"].isin(["hit", "hit_prefetched"]).mean()
        assert row["hit_ratio"] == pytest.approx(hits)
        assert row["mean_latency_ns"] == pytest.approx(mine["latency_ns"].mean())
        ordered = mine["latency_ns"].sort_values().tolist()
        assert row["p99_latency_ns"] == ordered[-(-99 * len(ordered) // 100) - 1]
    prefetches = table(out, "prefetches")
    lstm = runs[runs["arm"] == "lstm"].iloc[0]
    mine = prefetches[(prefetches["arm"] == "lstm") & (prefetches["seed"] == 0)]
    assert lstm["n_issued"] == len(mine)
    assert lstm["accuracy_ratio"] == pytest.approx(mine["fate"].isin(["timely", "late"]).mean())
    windows = table(out, "windows")
    assert windows.groupby(["arm", "seed"], observed=True)["n_miss"].sum().sum() == runs["n_miss"].sum()


def test_the_learned_policy_learned(measured: Path) -> None:
    """A pointer chase of 40 keys in a cache of 25: LRU never hits, next-1 by luck, the LSTM knows."""
    runs = table(measured / "out", "runs.parquet").groupby("arm")["mean_latency_ns"].mean()
    assert runs["lstm"] < 0.5 * runs["none"]
    assert runs["lstm"] < runs["next_n"]


def test_every_inference_was_a_real_one(measured: Path) -> None:
    inferences = table(measured / "out", "inferences")
    lstm = inferences[(inferences["arm"] == "lstm") & (inferences["status"] == "answered")]
    # A compiled question of so small a network takes about a microsecond, of a clock that may tell tens of nanoseconds.
    assert (lstm["host_ns"] > 100).all()
    assert lstm["host_ns"].nunique() > 30
    assert (lstm["charged_ns"] == lstm["host_ns"]).all()
    assert (lstm["ended_ns"] - lstm["started_ns"] == lstm["charged_ns"]).all()
    known = lstm.dropna(subset=["predicted_key", "next_key"])
    assert ((known["predicted_key"] == known["next_key"]) == known["came_true"].astype(bool)).all()


def test_metadata(measured: Path) -> None:
    file = measured / "out" / "accesses" / "lstm-0.parquet"
    metadata = {k.decode(): v.decode() for k, v in pq.read_metadata(file).metadata.items()}
    assert metadata["latencies"] == "measured"
    assert metadata["device"] == "cpu"
    assert json.loads(metadata["config"])["workload"]["source"]["kind"] == "pointer_chase"
    assert len(metadata["trace_sha256"]) == 64
    digests = table(measured / "out", "runs.parquet").groupby("seed")["trace_sha256"].nunique()
    assert (digests == 1).all()


def test_replay_is_byte_identical(measured: Path, tmp_path: Path) -> None:
    replay = only_lstm({"kind": "replay", "source": str(measured / "out")})
    path = write(tmp_path, replay)
    for name in ("a", "b"):
        result = call(path, "--out", tmp_path / name)
        assert result.exit_code == 0, result.output
    for name in ("accesses", "prefetches"):
        files = [tmp_path / out / name / "lstm-0.parquet" for out in ("a", "b")]
        assert files[0].read_bytes() == files[1].read_bytes()
        original = pq.read_table(measured / "out" / name / "lstm-0.parquet")
        assert pq.read_table(files[0]).equals(original)


def test_free_runs_are_identical(tmp_path: Path) -> None:
    path = write(tmp_path, only_lstm({"kind": "free"}))
    for name in ("a", "b"):
        assert call(path, "--out", tmp_path / name).exit_code == 0
    for name in ("accesses", "prefetches", "windows"):
        files = [tmp_path / out / name / "lstm-0.parquet" for out in ("a", "b")]
        assert files[0].read_bytes() == files[1].read_bytes()
    wall = ["wall_s", "wall_with_training_s", "train_s", "model_was_cached", "load_average", "began_s", "ended_s"]
    a, b = (
        table(tmp_path / out, "runs.parquet").drop(columns=wall).filter(regex="^(?!.*_inference_host_ns)")
        for out in ("a", "b")
    )
    pd.testing.assert_frame_equal(a, b)


def test_the_charge_is_real(tmp_path: Path) -> None:
    """The same predictions, charged 0 and 50 ms: late or useless in the second case."""
    found = {}
    for name, latency in (("zero", "0 ns"), ("slow", "50 ms")):
        path = write(tmp_path, only_lstm({"kind": "fixed", "latency": latency}), f"{name}.yaml")
        assert call(path, "--out", tmp_path / name).exit_code == 0
        runs = table(tmp_path / name, "runs.parquet").set_index("arm")
        found[name] = runs.loc["lstm"]
    assert found["slow"]["mean_latency_ns"] > 1.5 * found["zero"]["mean_latency_ns"]
    assert found["slow"]["coverage_ratio"] < 0.5 * found["zero"]["coverage_ratio"]


def test_sync_adds_exactly_the_recorded_inference(tmp_path: Path) -> None:
    content = only_lstm({"kind": "measured"})
    content["system"]["inference"] = {"mode": "sync"}
    assert call(write(tmp_path, content), "--out", tmp_path / "out").exit_code == 0
    accesses = pd.read_parquet(tmp_path / "out" / "accesses" / "lstm-0.parquet").set_index("access")
    inferences = pd.read_parquet(tmp_path / "out" / "inferences" / "lstm-0.parquet")
    inferences = inferences[inferences["status"] != "warm_up"].set_index("access")
    assert len(inferences) == len(accesses)
    assert (accesses["inference_ns"] == inferences["charged_ns"].reindex(accesses.index)).all()
    assert (inferences["charged_ns"] == inferences["host_ns"]).all()


def test_sampled_draws_from_the_recording(measured: Path, tmp_path: Path) -> None:
    path = write(tmp_path, only_lstm({"kind": "sampled", "source": str(measured / "out")}))
    assert call(path, "--out", tmp_path / "out").exit_code == 0
    drawn, recorded = (
        set(pd.read_parquet(out / "inferences" / "lstm-0.parquet").query("status == 'answered'")["charged_ns"])
        for out in (tmp_path / "out", measured / "out")
    )
    assert len(drawn) > 20
    assert drawn <= recorded


def test_finished_runs_are_not_repeated(measured: Path) -> None:
    path, out = measured / "config.yaml", measured / "out"
    before = table(out, "runs.parquet")
    result = call(path, "--out", out)
    assert result.exit_code == 0
    assert "6 of 6 runs are finished already" in result.output
    pd.testing.assert_frame_equal(table(out, "runs.parquet"), before)
    # Another seed is run beside them; an old one can be forced.
    result = call(path, "--out", out, "--seeds", "0,1,2", "--set", "output.window=1000")
    assert "done" in result.output


def test_arms_may_differ_in_the_system(tmp_path: Path) -> None:
    arms = [
        {"name": "small", "policy": {"kind": "none"}},
        {"name": "large", "policy": {"kind": "none"}, "set": {"system.tiers.0.capacity": "1 MiB"}},
    ]
    path = write(tmp_path, config(arms=arms, baseline="small", seeds=[0]))
    assert call(path, "--out", tmp_path / "out").exit_code == 0
    hits = table(tmp_path / "out", "runs.parquet").set_index("arm")["hit_ratio"]
    assert hits["small"] == 0
    assert hits["large"] > 0.9


def _start(path: Path, out: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "experiments.run", str(path), "--out", str(out)]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        # A shell starts what it puts into the background with SIGINT ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )  # fmt: skip


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_resumes(tmp_path: Path, sent: signal.Signals) -> None:
    content = config(seeds=[0])
    content["workload"]["source"]["accesses"] = 12_000
    content["arms"] = [content["arms"][0], lstm_arm({"kind": "measured"})]
    # Not the same model twice: one that is kept is not trained.
    content["arms"][1]["policy"].update(epochs=20 + sent, batch_size=64)
    path, out = write(tmp_path, content), tmp_path / "out"
    process = _start(path, out)
    # Inside the second run, whose model is being trained.
    assert process.stdout is not None
    while "training 1/" not in (line := process.stdout.readline()):
        assert line, process.communicate()
    process.send_signal(sent)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    if sent != signal.SIGKILL:
        # As a shell says that a signal has ended it.
        assert process.returncode == 128 + sent
        assert "Traceback" not in errors
        assert asides(out) == []
        assert table(out, "runs.parquet")["arm"].tolist() == ["none"]
    else:
        # It had no time to write a table of all runs.
        assert [path.name for path in (out / ".runs").iterdir()] == ["none-0.json"]
    assert len(table(out, "accesses/none-0.parquet")) == 6_000
    assert not (out / "accesses" / "lstm-0.parquet").exists()
    stamp = (out / "accesses" / "none-0.parquet").stat().st_mtime_ns
    result = call(path, "--out", out, "--set", "workload.source.accesses=12000")
    assert result.exit_code == 0, result.output
    assert "1 of 2 runs are finished already" in result.output
    assert table(out, "runs.parquet")["arm"].tolist() == ["none", "lstm"]
    assert (out / "accesses" / "none-0.parquet").stat().st_mtime_ns == stamp
    assert asides(out) == []


def test_help_is_fast_and_imports_nothing_heavy() -> None:
    code = (
        "import sys, experiments.run\n"
        "from typer.testing import CliRunner\n"
        "r = CliRunner().invoke(experiments.run.app, ['--help']); assert r.exit_code == 0\n"
        "print([m for m in ('torch', 'numba', 'pandas', 'pyarrow') if m in sys.modules])"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    # Wall time on a busy machine: generous here, 0.3 s when nothing else runs.
    assert time.perf_counter() - start < 5


def test_runs_without_lstm_never_import_torch_nor_what_takes_a_second(tmp_path: Path) -> None:
    content = config(seeds=[0, 1, 2], arms=[{"name": kind, "policy": {"kind": kind}} for kind in ("none", "next_n")])
    path = write(tmp_path, content)
    code = (
        "import sys; from pathlib import Path; from experiments.loading import load_all; "
        "from experiments.many import run_many; from experiments.run import How\n"
        f"loaded = load_all(Path({str(path)!r}), [], None, None, [])\n"
        f"run_many(loaded, Path({str(tmp_path / 'out')!r}), How(quiet=True), None, 'c')\n"
        "assert not {'torch', 'scipy.stats', 'experiments.stores.part', 'simulator.stores.store'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, env={**os.environ})


def test_other_seeds_do_not_undo_finished_runs(tmp_path: Path) -> None:
    path, out = write(tmp_path, config(seeds=[0])), tmp_path / "out"
    assert call(path, "--out", out).exit_code == 0
    assert call(path, "--out", out, "--seeds", "3").exit_code == 0
    assert set(table(out, "runs.parquet")["seed"]) == {0, 3}
    again = call(path, "--out", out)
    assert "runs are finished already" in again.output
    assert ", seed 0: done" not in again.output


def test_a_config_that_fails_leaves_the_folder_free(tmp_path: Path) -> None:
    # Only when it is trained is known what the model takes of the tier.
    arms = [{"name": "lstm", "policy": {**LSTM, "in_gpu_memory": True}, "charge": {"kind": "free"}}]
    path, out = write(tmp_path, config(seeds=[0], arms=arms, baseline="lstm")), tmp_path / "out"
    failed = call(path, "--out", out, "--set", "system.tiers.0.capacity=1 KiB")
    assert failed.exit_code == 2
    assert "error: system.tiers.0.capacity: 1024 B of 'hbm', but the policy keeps" in failed.output
    assert not out.exists()
    assert call(path, "--out", out).exit_code == 0


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    path, out = write(tmp_path, config(seeds=[0])), tmp_path / "out"
    assert call(path, "--out", out).exit_code == 0
    with FileLock(out / ".lock"):
        result = call(path, "--out", out)
    assert result.exit_code == 2
    assert "another process" in result.output


def test_training_follows_the_history_that_is_asked_about() -> None:
    trace = ListWorkload(make_batch([1, 10, 2, 20], stream=[0, 1, 0, 1], op=[0, 0, 1, 0]), 3)
    learned = Learned(trace, 4, 4)
    assert [learning.keys.tolist() for learning in learned.sequences(True)] == [[1, 2], [10, 20]]
    # As large as those of the training part are on the average; nobody knows without one.
    sized = ListWorkload(make_batch([1, 2, 3, 4, 5], size_bytes=[10, 20, 30, 20, 999]), 2)
    assert (Learned(sized, 4, 4).room(1000), Learned(sized, 0, 0).room(1000)) == (50, 2**62)
    assert [learning.writes.tolist() for learning in learned.sequences(True)] == [[False, True], [False, False]]
    assert [learning.keys.tolist() for learning in learned.sequences(False)] == [[1, 10, 2, 20]]
    assert learned.n_accesses == 4
    assert {stream: keys.tolist() for stream, keys in Learned(trace, 1, 1).simulated(True).items()} == {
        0: [2],
        1: [10, 20],
    }
