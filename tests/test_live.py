"""``--live``: what is shown is what the runs come to, and the terminal is whole afterwards."""

import io
import pickle
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console
from typer.testing import CliRunner

from experiments import command, live, workers
from experiments.callbacks import Callback, Callbacks
from experiments.exits import exit_codes
from experiments.kept import Kept
from experiments.live import LiveProgress, LiveRun, live_or_lines
from experiments.loading import load, only
from experiments.progress import RunProgress
from experiments.runner import run_all
from experiments.single import SHOWN_WINDOWS
from simulator.accounting import SoFar
from tests.test_experiment import write
from tests.test_python import small

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


def terminal(width: int = 120, height: int = 30) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, height=height, color_system=None)


def drawn(console: Console) -> str:
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return str(text)


def frames(console: Console) -> list[str]:
    """All that were drawn, without what moves the cursor."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", drawn(console)).split("small: ")[1:]


def experiment(folder: Path, **changes: Any) -> Any:
    """600 accesses, half of them judged, in windows of 100."""
    return only(load(write(folder, {**small(), "output": {"window": 100}, "warm_up": 300, **changes})))


class Pipe:
    """Hands on what a process sends to what is shown of its run, as the one that waits for it does."""

    def __init__(self, shown: Any) -> None:
        self._shown = shown

    def send(self, message: Any) -> None:
        kind, what = pickle.loads(pickle.dumps(message))
        {"accesses": self._shown.accesses, "said": self._shown.said}[kind](*what)


def as_processes_do(experiment: Any, folder: Path, tasks: Any, n_jobs: int, traces: Any, show: Any) -> Any:
    """Without the processes: several begin before the first is over."""
    shown = [show(task) for task in tasks]
    for task, run in zip(tasks, shown, strict=True):
        done = workers._do(task, Pipe(run), experiment, folder, traces[task.run.seed])  # type: ignore[arg-type]
        run.finish(done.row if done is not None else None)
        yield task, done


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_last_view_says_what_the_runs_have_come_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: int
) -> None:
    monkeypatch.setattr(live, "_DRAW_EVERY_S", 0)
    monkeypatch.setattr(workers, "side_by_side", as_processes_do)
    monkeypatch.setattr(workers, "_TELL_EVERY_S", 0)
    console, made = terminal(), experiment(tmp_path, seeds=[3, 4])
    rows = run_all(made, tmp_path / "out", console, quiet=False, live=True, jobs=jobs)
    *before, last = frames(console)
    assert last.startswith("6 of 6 runs done")
    for arm in ("none", "next_n", "wrong"):
        mine = [row for row in rows if row["arm"] == arm]
        (line,) = re.findall(rf"^│ {arm} .*$", last, re.MULTILINE)
        assert "2/2" in line
        assert f"{sum(row['hit_ratio'] for row in mine) / 2:.4f}" in line
    # While runs were going on, of some it was known what they had come to.
    assert any(re.search(r"│ none +│  0/2 │[^│]*│[^│]*│ 0\.\d{4} │", frame) for frame in before)


@pytest.mark.parametrize("engine", ["compiled", "simpy"])
def test_what_is_known_at_the_end_is_what_the_tables_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    """Both engines say the same of judged accesses alone, those of the warm-up left out."""
    told: list[tuple[int, SoFar]] = []
    monkeypatch.setattr(LiveRun, "accesses", lambda self, n, so_far: told.append((n, so_far)))
    made = experiment(tmp_path, seeds=[3], arms=["none", "next_n"], engine=engine)
    (_, row) = run_all(made, tmp_path / "out", terminal(), quiet=False, live=True)
    n_done, so_far = told[-1]
    assert n_done == 600
    assert sum(so_far.n_outcomes) == row["n_accesses"] == 300
    names = ("n_hit", "n_hit_prefetched", "n_late", "n_merged", "n_miss")
    assert so_far.n_outcomes == [row[name] for name in names]
    assert so_far.latency_ns == row["latency_sum_ns"]
    windows = pq.read_table(tmp_path / "out" / "windows" / "next_n-3.parquet", partitioning=None)
    assert so_far.windows == pytest.approx(windows["mean_latency_ns"].to_pylist())
    assert 3 == len(so_far.windows) < SHOWN_WINDOWS


class Stops(Callback):
    def on_run_finished(self, experiment: Any, row: Any) -> None:
        raise KeyboardInterrupt


def test_an_interrupt_leaves_the_terminal_whole_and_the_run_that_was_finished(tmp_path: Path) -> None:
    console, made, out = terminal(), experiment(tmp_path), tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run_all(made, out, console, quiet=False, live=True, callbacks=Callbacks([Stops()], made, out))
    text = drawn(console)
    assert text.index(HIDE) < text.rindex(SHOW)
    assert text.count(HIDE) == text.count(SHOW) == 1
    # The view is taken away, line by line.
    assert text.rindex(SHOW) < text.rindex("\x1b[2K")
    assert list(Kept.load(out).runs) == [("none", 3, 0)]


def test_without_a_terminal_there_are_lines(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=110)
    progress = live_or_lines(console, "small", {"none": 1}, n_at_once=1)
    assert type(progress) is RunProgress
    assert drawn(console) == "--live: this is no terminal that can be drawn on; lines instead\n"
    assert not progress.watches
    asked = CliRunner().invoke(command.app, ["run", str(write(tmp_path, small())), "--live", "--quiet"])
    assert asked.exit_code == 2
    assert "--live --quiet: one shows what the other hides" in asked.stderr


def test_of_more_arms_than_lines_those_that_run_are_shown() -> None:
    arms = [f"arm_{i}" for i in range(40)]
    console = terminal(height=12)
    with LiveProgress(console, "small", dict.fromkeys(arms, 1)) as progress:
        progress.start("arm arm_30, seed 0", 100, arm="arm_30").accesses(50, SoFar([10, 15, 0, 0, 25], 50_000, [1e3]))
        progress.draw(at_once=True)
    last = frames(console)[-1]
    assert re.search(r"│ arm_30 +│  0/1 │[^│]+│ +│ 0\.5000 │    1 us │ █", last)
    assert "and 35 more arms" in last
    assert last.count("\n") <= 12


def test_a_run_that_failed_is_said_and_one_that_was_kept_counts() -> None:
    console = terminal()
    with LiveProgress(console, "small", {"mine": 2}) as progress:
        outcomes = dict.fromkeys(("n_hit", "n_hit_prefetched", "n_late", "n_merged", "n_miss"), 10)
        progress.has({"arm": "mine", "latency_sum_ns": 100_000, "n_accesses": 50, "wall_s": 0.001, **outcomes})
        progress.start("arm mine, seed 1", 100, arm="mine").failed()
        progress.draw(at_once=True)
    assert re.search(r"│ mine │ 1/2, 1 failed │[^│]+│ +50,000 │ 0\.4000 │    2 us │", frames(console)[-1])


def test_what_is_not_asked_for_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine is asked what it has come to where nobody watches."""
    monkeypatch.setattr("simulator.engine.Engine.so_far", None)
    with exit_codes("nothing"):
        run_all(experiment(tmp_path, seeds=[3], arms=["none"]), tmp_path / "out", terminal(), quiet=False)
