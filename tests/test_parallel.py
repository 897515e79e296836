"""Runs in processes side by side: the same results, and no run is lost with another's process."""

import os
import pickle
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import closing
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.campaign.folders import asides
from experiments import workers
from experiments.aside import aside_of
from experiments.callbacks import Callbacks
from experiments.exits import RunsDiedError
from experiments.interrupts import Interrupts, TerminatedError, terminations
from experiments.kept import Done, Kept
from experiments.loading import load
from experiments.plan import in_turn, key_of, planned
from experiments.progress import RunProgress, make_console
from experiments.runner import _Making
from experiments.shared import HashedWorkload, share_all
from experiments.workers import Task, side_by_side
from simulator.trace import COLUMNS, concatenate
from tests.test_experiment import LSTM, ROOT, call, config, table, write

ARMS = [
    {"name": "none", "policy": {"kind": "none"}},
    {"name": "next_n", "policy": {"kind": "next_n"}},
    {"name": "lstm", "policy": {**LSTM, "in_gpu_memory": False}, "charge": {"kind": "fixed", "latency": "80 us"}},
]


def test_the_same_tables_as_one_after_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, config(arms=ARMS))
    for jobs in ("1", "2"):
        # Each trains anew: two processes must not train the same model twice, nor read half of one.
        monkeypatch.setenv("TIERFETCH_MODELS", str(tmp_path / f"models{jobs}"))
        result = call(path, "--out", tmp_path / jobs, "--jobs", jobs)
        assert result.exit_code == 0, result.output
        assert len(list((tmp_path / f"models{jobs}").glob("*.safetensors"))) == 2
    names, parallel = (sorted(f.relative_to(tmp_path / j) for f in (tmp_path / j).glob("*/*.parquet")) for j in "12")
    assert names == parallel
    assert len(names) == 26
    walls = ["train_s", "host_ns", "device_ns", "cpu_ns"]
    for name in names:
        one, two = (table(tmp_path / jobs, str(name)).drop(columns=walls, errors="ignore") for jobs in "12")
        assert one.equals(two), name
    one, two = (table(tmp_path / jobs, "runs.parquet") for jobs in "12")
    timed = [column for column in one if re.search("wall|host|cached|train_s|load_average|began_s|ended_s", column)]
    assert one.drop(columns=timed).equals(two.drop(columns=timed))
    assert not (tmp_path / "2" / ".shared").exists()


def test_a_trace_that_is_shared_is_the_same(tmp_path: Path) -> None:
    source = load(write(tmp_path, config()))[""].workload.source
    for seed, shared in share_all(source, [0, 1], tmp_path / "shared").items():
        hashed = HashedWorkload(source.build(seed))
        made, mapped = (concatenate(list(workload.batches())) for workload in (hashed, shared))
        assert all(np.array_equal(getattr(made, name), getattr(mapped, name)) for name in COLUMNS)
        assert (shared.sha256, shared.n_streams, shared.length()) == (hashed.sha256, 1, len(made))


def test_what_the_seed_decides(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("1\n2\n3\n4\n")
    ids = {"kind": "ids", "path": str(tmp_path / "ids.txt"), "block": "1 B"}
    random = {"kind": "random", "accesses": 10, "block": "1 B", "n_keys": 9}
    sources: list[tuple[dict[str, Any], bool]] = [
        (ids, False), (random, True), ({"kind": "slice", "source": ids, "first": 1, "accesses": 2}, False),
        ({"kind": "interleave", "parts": [ids, random]}, True), ({"kind": "phases", "phases": [ids]}, False),
    ]  # fmt: skip
    for raw, expected in sources:
        content = config()
        content["workload"]["source"] = raw
        source = load(write(tmp_path, content))[""].workload.source
        assert source.depends_on_seed == expected
        # Written once, or once a seed.
        folder = tmp_path / f"shared-{sources.index((raw, expected))}"
        share_all(source, [0, 1], folder)
        assert len(list(folder.iterdir())) == (2 if expected else 1)


def test_what_is_timed_runs_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that charges no wall time first, beside the training of what does; then that, one run at a time."""
    groups: list[tuple[int, list[tuple[str, int, int, bool]]]] = []

    def keeps(experiment: Any, folder: Path, tasks: Any, n_jobs: int, traces: Any, show: Any) -> Any:
        groups.append((n_jobs, [(*task.run.key, task.trains_only) for task in tasks]))
        # What is judged is known to all that are judged.
        assert {task.n_warm_up for task in tasks if not task.trains_only} == {7}
        for task in tasks:
            row = dict(zip(("arm", "seed", "repeat"), task.run.key, strict=True))
            yield task, None if task.trains_only else Done(row, {})

    monkeypatch.setattr(workers, "side_by_side", keeps)
    replayed = {**ARMS[2], "name": "fixed"}
    measured = {"name": "lstm", "policy": ARMS[2]["policy"]}
    timed = {"name": "timed", "policy": {"kind": "next_n"}, "charge": {"kind": "measured"}}
    content = config(arms=[measured, ARMS[0], timed, replayed], repeats=2, warm_up=7)
    experiment = load(write(tmp_path, content))[""]
    with RunProgress(make_console(), quiet=True, n_at_once=2) as progress, closing(Interrupts()) as interrupts:
        told = Callbacks([], experiment, tmp_path)
        making = _Making(experiment, tmp_path, Kept(tmp_path), {}, told, None)
        making.choose(progress, force=False, title="")
        done = list(making._make(in_turn(planned(experiment)), progress, interrupts))
    # Nothing of `timed` can be done ahead: it does not learn. A model is trained once, whatever is repeated.
    ahead = [("lstm", 0, True), ("lstm", 1, True)]
    beside = [(name, seed, 0, False) for name in ("none", "fixed") for seed in (0, 1)]
    # All of one repeat before any of the next.
    alone = [(name, seed, repeat, False) for repeat in (0, 1) for name in ("lstm", "timed") for seed in (0, 1)]
    assert [n_jobs for n_jobs, _ in groups] == [2, 1]
    assert [(name, seed, trains) for name, seed, _, trains in groups[0][1][:2]] == ahead
    assert groups[0][1][2:] == beside
    assert groups[1][1] == alone
    assert [[*key_of(one.row)] for one in done] == [key for *key, _ in [*beside, *alone]]


def _dying(pipe: Any, n_at_once: int) -> None:
    """Serves, but arm `next_n` kills its process: always with seed 0, the first time with seed 1."""
    while True:
        try:
            given, task = pipe.recv()
        except EOFError:
            return
        if given is not None:
            _, folder, _ = pickle.loads(given)
        if task.run.arm.name == "next_n":
            (folder / "accesses").mkdir(exist_ok=True)
            aside_of(folder / "accesses" / f"{task.run.stem}.parquet").touch()
            if task.run.seed == 0 or task.n_tries == 1:
                os.kill(os.getpid(), signal.SIGKILL)
        pipe.send(("done", Done({"n_accesses": 1, "wall_s": 1.0, "wall_with_training_s": 1.0}, {})))


def test_who_asks_dies_with_an_answer_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    # What a process sets for itself.
    monkeypatch.setattr(workers, "share_cores", lambda _: None)
    monkeypatch.setattr(workers.signal, "signal", lambda *_: None)
    here, there = Pipe()
    there.send("an answer")
    here.close()
    workers._serve(there, 1)


def test_a_process_that_dies_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(workers, "_serve", _dying)
    experiment = load(write(tmp_path, config(arms=ARMS)))[""]
    tasks = [Task(run) for run in planned(experiment)]
    done: list[tuple[str, int]] = []
    with RunProgress(make_console(), len(tasks), quiet=False, n_at_once=2) as progress:

        def show(task: Task) -> Any:
            return progress.start(str(task.run), 1, is_again=task.n_tries > 0)

        def run_all() -> None:
            done.extend(
                (task.run.arm.name, task.run.seed) for task, _ in side_by_side(experiment, tmp_path, tasks, 2, {}, show)
            )

        with pytest.raises(RunsDiedError, match=r"arm next_n, seed 0 \(killed by signal 9\): the process died 2 times"):
            run_all()
    assert sorted(done) == [("lstm", 0), ("lstm", 1), ("next_n", 1), ("none", 0), ("none", 1)]
    printed = capsys.readouterr().out
    assert printed.count("died (killed by signal 9); once more") == 2
    assert printed.count("died (killed by signal 9)\n") == 1
    # Those of a process that died go with it, and the others are told to stop while they write.
    assert asides(tmp_path) == []


def test_what_dies_twice_is_exit_code_3_and_the_rest_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, out = write(tmp_path, config(arms=ARMS[:2])), tmp_path / "out"

    def dies(experiment: Any, folder: Path, tasks: Any, n_jobs: int, traces: Any, show: Any) -> Any:
        living = [task for task in tasks if task.run.arm.name == "none"]
        yield from side_by_side(experiment, folder, living, n_jobs, traces, show)
        if len(living) < len(tasks):
            raise RunsDiedError("arm next_n, seed 0: the process died 2 times")

    monkeypatch.setattr(workers, "side_by_side", dies)
    result = call(path, "--out", out, "-j", "2")
    assert result.exit_code == 3, result.output
    assert "error: arm next_n, seed 0" in result.output
    assert table(out, "runs.parquet")["arm"].tolist() == ["none", "none"]
    monkeypatch.undo()
    again = call(path, "--out", out, "-j", "2")
    assert again.exit_code == 0
    assert "2 of 4 runs are finished already" in again.output


def test_bad_input_found_by_a_process(tmp_path: Path) -> None:
    # Only when it is trained is known what the model takes of the tier.
    policy = {**LSTM, "in_gpu_memory": True, "epochs": 1}
    arms = [{"name": name, "policy": policy, "charge": {"kind": "free"}} for name in ("one", "two")]
    content = config(arms=arms, baseline="one")
    content["system"]["tiers"][0]["capacity"] = "1 KiB"
    result = call(write(tmp_path, content), "--out", tmp_path / "out", "-j", "2")
    assert result.exit_code == 2, result.output
    assert "error: system.tiers.0.capacity: 1024 B of 'hbm', but the policy keeps" in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_an_interrupt_stops_all_processes_and_keeps_what_is_done(tmp_path: Path) -> None:
    content = config(arms=ARMS[:2], seeds=[0, 1])
    # The model takes minutes for so many: they have not ended when the interrupt comes, whatever else the machine does.
    content["engine"] = "simpy"
    content["workload"]["source"] |= {"accesses": 2_000_000, "n_keys": 3}
    content["output"] = {"accesses": False, "prefetches": False, "inferences": False}
    path, out = write(tmp_path, content), tmp_path / "out"
    command = [sys.executable, "-X", "faulthandler", "-m", "experiments.run", str(path), "--out", str(out), "-j", "2"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    # The second run has begun; both take a while yet.
    with process.stdout:
        while not process.stdout.readline().startswith("[2/4]"):
            assert process.poll() is None
        time.sleep(0.3)
        os.killpg(process.pid, signal.SIGINT)
        try:
            assert process.wait(30) == 130
        except subprocess.TimeoutExpired:
            # It says where it hangs, and nothing of it hinders other tests.
            process.send_signal(signal.SIGABRT)
            process.wait()
            os.killpg(process.pid, signal.SIGKILL)
            raise
    assert asides(out) == []
    assert not (out / ".shared").exists()
    # The group is empty: nothing of it is left to run on.
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("a process outlives the command")


@pytest.mark.parametrize(("sent", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, TerminatedError)])
def test_an_interrupt_that_python_drops_is_not_lost(sent: signal.Signals, raised: type[BaseException]) -> None:
    class Dropped:
        def __del__(self) -> None:
            signal.raise_signal(sent)

    with terminations():
        _check_dropped(Dropped, sent, raised)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def _check_dropped(dropped: Callable[[], object], sent: signal.Signals, raised: type[BaseException]) -> None:
    before, interrupts = signal.getsignal(sent), Interrupts()
    interrupts.check()
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "unraisablehook", lambda _: None)
        # Raised in __del__, it goes nowhere.
        dropped()
    with pytest.raises(raised):
        interrupts.check()
    interrupts.close()
    assert signal.getsignal(sent) is before


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals cannot be held back here")
def test_the_first_process_that_is_started_sees_no_interrupt_either() -> None:
    """Python's tracker of resources is started with it, and lets interrupts in again."""
    code = """
import multiprocessing
from experiments.interrupts import none_for_children
of_child = "import signal, sys; sys.exit(int(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])))"
process = multiprocessing.get_context("spawn").Process(target=exec, args=(of_child,))
with none_for_children():
    process.start()
process.join()
print(process.exitcode)
"""
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (run.stdout, run.stderr) == ("1\n", "")
