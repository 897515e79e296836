"""``--log mlflow``: what is in MLflow's local store afterwards, read by MLflow itself."""

import json
import os
import socket
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from experiments.callbacks import digest_of_run
from experiments.kept import Kept
from experiments.loggers.to_mlflow import DIGEST, _flat, _numbers
from experiments.results import KeptResults
from tests.test_experiment import write
from tests.test_python import small
from tests.test_results import ran

# Found, not imported: that takes seconds, and is for who runs these tests.
needs_mlflow = pytest.mark.skipif(find_spec("mlflow") is None, reason="MLflow is not installed: the extra mlflow")


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """A folder in which an experiment was logged as it ran, and to where anything was sent meanwhile."""
    folder, sent = tmp_path_factory.mktemp("mlflow"), list[Any]()
    config = {**small(), "arms": ["none", "next_n"], "seeds": [3], "output": {"window": 100}}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(socket.socket, "connect", lambda self, address: sent.append(address))
        ran(write(folder, config), folder / "out", "--log", "mlflow")
    return folder, sent


def runs_of(folder: Path) -> tuple[Any, list[Any]]:
    """The only experiment there besides MLflow's default, and its runs by their names."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=(folder / "mlruns").as_uri())
    (found,) = [one for one in client.search_experiments() if one.name != "Default"]
    return found, sorted(client.search_runs([found.experiment_id]), key=lambda run: run.info.run_name)


@needs_mlflow
def test_an_experiment_is_one_and_a_run_is_one(logged: tuple[Path, list[Any]]) -> None:
    from mlflow.tracking import MlflowClient

    folder, sent = logged
    found, runs = runs_of(folder)
    kept = KeptResults.open(folder / "out")
    assert found.name == f"small-{kept.kept.about['config_hash']}"
    assert found.tags["tierfetch.baseline"] == "none"
    assert [(run.info.run_name, run.info.status) for run in runs] == [("next_n-3", "FINISHED"), ("none-3", "FINISHED")]
    (row,) = [row for row in kept.rows if row["arm"] == "next_n"]
    run = runs[0]
    assert run.data.params["policy.kind"] == "next_n"
    assert run.data.params["policy.n"] == "1"
    assert (run.data.params["seed"], run.data.params["device"]) == ("3", "none")
    metrics = {name: value for name, value in run.data.metrics.items() if not name.startswith("windows.")}
    assert metrics == {name: value for name, value in _numbers(row) if name not in ("seed", "repeat")}
    assert {"hit_ratio", "mean_latency_ns", "n_issued"} <= metrics.keys()
    assert run.data.tags["tierfetch.verdict"] == "better"

    client = MlflowClient(tracking_uri=(folder / "mlruns").as_uri())
    series = client.get_metric_history(run.info.run_id, "windows.n_miss")
    assert [point.step for point in series] == [0, 100, 200, 300, 400, 500]
    assert sum(point.value for point in series) == row["n_miss"]
    config = Path(client.download_artifacts(run.info.run_id, "config.json"))
    assert json.loads(config.read_text()) == kept.kept.about["config"]

    # Nothing was asked of the network, nor will be.
    assert sent == []
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


@needs_mlflow
def test_no_run_is_logged_twice_and_none_is_left_out(
    logged: tuple[Path, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = logged
    monkeypatch.chdir(folder)
    ran(folder / "config.yaml", folder / "out", "--quiet", "--log", "mlflow")
    assert len(runs_of(folder)[1]) == 2
    # One of another seed is made without being logged, and is made up for.
    ran(folder / "config.yaml", folder / "out", "--quiet", "--seeds", "4")
    ran(folder / "config.yaml", folder / "out", "--quiet", "--seeds", "3,4", "--log", "mlflow")
    runs = runs_of(folder)[1]
    assert [run.info.run_name for run in runs] == ["next_n-3", "next_n-4", "none-3", "none-4"]
    found = Kept.load(folder / "out").runs.values()
    assert {run.data.tags[DIGEST] for run in runs} == {digest_of_run(one.row) for one in found}


def test_without_mlflow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.test_results import call

    monkeypatch.setattr("experiments.loggers.to_mlflow.find_spec", lambda name: None)
    done = call("run", write(tmp_path, small()), "--out", tmp_path / "out", "--log", "mlflow")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "error: --log mlflow: is not installed; expected the extra: pip install 'tierfetch[mlflow]'\n"


def test_settings_go_by_their_paths_and_only_what_can_be_drawn_is_a_metric() -> None:
    assert dict(_flat({"policy": {"kind": "lstm", "train": {"epochs": 3}}, "tiers": [1, 2]})) == {
        "policy.kind": "lstm",
        "policy.train.epochs": 3,
        "tiers": [1, 2],
    }
    row = {"n": 3, "ratio": 0.5, "no": None, "nan": float("nan"), "inf": float("inf"), "flag": True, "text": "x"}
    assert dict(_numbers(row)) == {"n": 3.0, "ratio": 0.5}
