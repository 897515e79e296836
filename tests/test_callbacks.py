"""Callbacks: when they are told of what, and that what they raise loses nothing."""

from pathlib import Path
from typing import Any

import pytest

import tierfetch
from experiments.callbacks import digest_of_run
from experiments.kept import Kept
from experiments.results import KeptResults
from tests.test_experiment import write
from tests.test_python import small
from tests.test_results import call


class Told(tierfetch.Callback):
    """Notes what it is told of, and spoils what it is given."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.experiment: tierfetch.Ongoing | None = None

    def on_experiment_started(self, experiment: tierfetch.Ongoing) -> None:
        self.experiment = experiment
        self.events.append("started")

    def on_run_finished(self, experiment: tierfetch.Ongoing, row: dict[str, Any]) -> None:
        kept = Kept.load(experiment.folder).runs[row["arm"], row["seed"], row["repeat"]]
        assert kept.row == row
        self.events.append((row["arm"], row["seed"], digest_of_run(row)))
        row.clear()

    def on_experiment_finished(self, experiment: tierfetch.Ongoing, rows: list[Any], compared: list[Any]) -> None:
        assert (experiment.folder / "comparisons.parquet").exists()
        self.events.append(("finished", [(row["arm"], row["seed"]) for row in rows], len(compared)))
        rows[0].clear()


class Raises(tierfetch.Callback):
    """Fails at the second run that it is told of."""

    def __init__(self) -> None:
        self.n_runs = 0

    def on_run_finished(self, experiment: tierfetch.Ongoing, row: dict[str, Any]) -> None:
        self.n_runs += 1
        if self.n_runs == 2:
            raise ValueError("the disk over there is full")

    def on_experiment_finished(self, experiment: tierfetch.Ongoing, rows: Any, compared: Any) -> None:
        raise AssertionError("was called once it had failed")


class FailsAtTheEnd(tierfetch.Callback):
    def on_experiment_finished(self, experiment: tierfetch.Ongoing, rows: Any, compared: Any) -> None:
        raise KeyError("no such place")


RUNS = [(arm, seed) for arm in ("none", "next_n") for seed in (3, 4)]


@pytest.fixture(scope="module")
def experiment() -> tierfetch.Experiment:
    return tierfetch.Experiment.load({**small(), "arms": ["none", "next_n"], "seeds": [3, 4]})


def test_they_are_told_of_each_run_once_it_is_kept(experiment: tierfetch.Experiment, tmp_path: Path) -> None:
    told = Told()
    results = experiment.run(progress=False, out=tmp_path / "out", callbacks=[told])
    begun, *runs, end = told.events
    assert begun == "started"
    assert sorted(runs) == sorted(
        (row["arm"], row["seed"], digest_of_run(row)) for row in KeptResults.open(tmp_path / "out").rows
    )
    assert end == ("finished", RUNS, len(results.comparisons))
    # What it did to its rows is not in the tables.
    assert results.runs["seed"].tolist() == [3, 4, 3, 4]

    about = told.experiment
    assert about is not None
    assert (about.name, about.baseline, about.folder) == ("small", "none", tmp_path / "out")
    assert about.arm("next_n")["policy"]["kind"] == "next_n"
    row = KeptResults.open(tmp_path / "out").rows[-1]
    assert about.series(row)[-1]["mean_latency_ns"] == results.windows("next_n", 4)["mean_latency_ns"].iloc[-1]
    assert (about.table(row, "training"), about.series(row, "training")) == (None, [])

    again = Told()
    experiment.run(progress=False, out=tmp_path / "out", callbacks=[again])
    assert again.events == ["started", end]


def test_what_one_raises_loses_no_run_and_no_other_callback(experiment: tierfetch.Experiment, tmp_path: Path) -> None:
    told, raises = Told(), Raises()
    with pytest.raises(tierfetch.RunsFailedError) as caught:
        experiment.run(progress=False, out=tmp_path / "out", callbacks=[raises, FailsAtTheEnd(), told])
    first, where, second, _ = caught.value.args
    assert first == "callback Raises.on_run_finished: ValueError: the disk over there is full"
    assert "test_callbacks.py" in where
    assert second.startswith("callback FailsAtTheEnd.on_experiment_finished: KeyError")
    assert raises.n_runs == 2
    assert len(told.events) == 6
    results = KeptResults.open(tmp_path / "out")
    results.check_whole()
    assert results.compared()


FAILING = """
import tierfetch

class Mine(tierfetch.Callback):
    def on_run_finished(self, experiment, row):
        raise RuntimeError("not today")

class Unmade(tierfetch.Callback):
    def __init__(self, place):
        pass


class Other:
    pass
"""


def test_the_command_says_what_failed_below_its_table(tmp_path: Path) -> None:
    """And the code is that of code of one's own."""
    (tmp_path / "mine.py").write_text(FAILING)
    path = write(tmp_path, {**small(), "arms": ["none", "next_n"], "seeds": [3]})
    done = call("run", path, "--out", tmp_path / "out", "--log", "./mine.py:Mine")
    assert done.exit_code == 4
    assert done.stderr.startswith("error: callback Mine.on_run_finished: RuntimeError: not today\n  ")
    assert "mine.py:6 in on_run_finished" in done.stderr
    assert "Lowest mean latency: next_n" in done.stdout
    assert call("show", tmp_path / "out").exit_code == 0

    unmade = call("run", path, "--out", tmp_path / "other", "--log", "./mine.py:Unmade")
    assert (unmade.exit_code, unmade.stdout) == (4, "")
    assert unmade.stderr.startswith("error: --log ./mine.py:Unmade: TypeError: ")


@pytest.mark.parametrize("kind", [tierfetch.RunsFailedError, tierfetch.RunsDiedError])
def test_runs_that_failed_are_told_of_before_callbacks(
    experiment: tierfetch.Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[RuntimeError]
) -> None:
    def run_all(*_: Any, callbacks: Any, **__: Any) -> None:
        for _run in range(2):
            callbacks.run_finished({"arm": "none"})
        raise kind("an arm failed")

    monkeypatch.setattr("experiments.runner.run_all", run_all)
    with pytest.raises(kind) as caught:
        experiment.run(progress=False, out=tmp_path / "out", callbacks=[Raises()])
    assert caught.value.args[0] == "an arm failed"
    assert caught.value.args[1].startswith("callback Raises.on_run_finished: ValueError")


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("wandb", "--log wandb: expected mlflow, mlflow:FOLDER, or ./file.py:Class with a tierfetch.Callback"),
        ("./mine.py:Other", "is no tierfetch.Callback; expected a subclass of it"),
        ("./mine.py:Nothing", "Nothing"),
        ("mlflow:mine.py", "is a file; expected a folder"),
    ],
)
def test_what_is_no_callback_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: str, said: str
) -> None:
    (tmp_path / "mine.py").write_text(FAILING)
    monkeypatch.chdir(tmp_path)
    done = call("run", write(tmp_path, small()), "--out", tmp_path / "out", "--log", log)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert not (tmp_path / "out").exists()
