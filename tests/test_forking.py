"""Processes that are forked from one that has imported what they need: as those that start afresh."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from experiments import forking
from tests.forked import tell

pytestmark = pytest.mark.skipif(not forking.CAN_FORK, reason="processes are forked on Linux alone")


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking, "_ALWAYS", ("numpy",))


def _started(name: str) -> tuple[Any, Connection, int, str | None, str, int]:
    process, pipe = forking.start(tell, (name,), [])
    return process, pipe, *pipe.recv()


def _is_gone(pid: int) -> bool:
    """Within a few seconds, a zombie not counted as gone."""
    for _ in range(500):
        if not Path(f"/proc/{pid}").exists():
            return True
        time.sleep(0.01)
    return False


def test_it_is_as_one_that_starts_afresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The environment and the folder of the moment, exit codes and signals, files; and its source may die."""
    monkeypatch.setenv("TIERFETCH_X", "1")
    one, pipe, parent, seen, _, n_files = _started("TIERFETCH_X")
    assert isinstance(one, forking.Forked)
    assert parent != os.getpid()
    assert seen == "1"
    # What is read late is handed on to the next one; it has the same parent, and nothing of the first one's.
    monkeypatch.setenv("TIERFETCH_X", "2")
    monkeypatch.chdir(tmp_path)
    two, _two, same, seen, folder, n_files_of_two = _started("TIERFETCH_X")
    assert (same, seen, folder, n_files_of_two) == (parent, "2", str(tmp_path), n_files)
    pipe.send(7)
    one.join()
    assert one.exitcode == 7
    two.kill()
    two.join()
    assert two.exitcode == -signal.SIGKILL
    # Who is waited for no longer leaves nothing.
    assert _is_gone(one.pid)
    assert _is_gone(two.pid)
    # A package may have read it when it was imported.
    monkeypatch.setenv("NUMBA_X", "1")
    three, pipe, other, seen, *_ = _started("NUMBA_X")
    assert seen == "1"
    assert other != parent
    assert _is_gone(parent)
    # It goes on without its source, and can be ended.
    os.kill(other, signal.SIGKILL)
    four, _four, another, *_ = _started("NUMBA_X")
    assert another not in (other, os.getpid())
    assert Path(f"/proc/{three.pid}").exists()
    three.kill()
    three.join()
    assert three.exitcode is None
    assert _is_gone(three.pid)
    four.kill()
    four.join()
    assert four.exitcode == -signal.SIGKILL


def test_to_wait_for_one_keeps_nobody_from_others() -> None:
    one, pipe, *_ = _started("X")
    waiting = threading.Thread(target=one.join, daemon=True)
    waiting.start()
    two, other, *_ = _started("X")
    other.send(3)
    two.join()
    assert two.exitcode == 3
    assert waiting.is_alive()
    pipe.send(4)
    waiting.join(10)
    assert one.exitcode == 4


def test_an_interrupt_leaves_no_answer_for_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes while a process is awaited: its number must not be taken for the end of another one."""
    one, _one, source, *_ = _started("X")

    def interrupted(*arguments: Any) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(Connection, "recv", interrupted)
    with pytest.raises(KeyboardInterrupt):
        forking.start(tell, ("X",), [])
    one.kill()
    one.join()
    assert one.exitcode is None
    two, _two, other, *_ = _started("X")
    assert other != source
    two.kill()
    two.join()


def test_where_none_can_be_forked_they_start_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: Any) -> Callable[..., Any]:
        raise BrokenPipeError

    monkeypatch.setattr(forking._Source, "fork", fails)
    process, pipe, parent, *_ = _started("X")
    assert parent == os.getpid()
    pipe.send(0)
    process.join()
    assert process.exitcode == 0


def test_where_there_can_be_no_more_processes_those_there_are_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    one, pipe, *_ = _started("X")
    monkeypatch.setattr(forking._Source, "_ask", lambda *_: None)
    two, other, spawning, *_ = _started("X")
    assert spawning == os.getpid()
    monkeypatch.undo()
    for process, end in ((one, pipe), (two, other)):
        end.send(5)
        process.join()
        assert process.exitcode == 5


LEAVES_ONE = """
import os, signal, sys
from experiments import forking
from tests.forked import sleep

if __name__ == "__main__":
    forking._ALWAYS = ("numpy",)
    process, pipe = forking.start(sleep, (), [])
    print(*pipe.recv(), flush=True)
    if sys.argv[1] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("how", ["ends", "killed"])
def test_none_outlives_the_command(tmp_path: Path, how: str) -> None:
    script = tmp_path / "leaves.py"
    script.write_text(LEAVES_ONE)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, str(script), how]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=False, timeout=60)
    assert done.returncode == (-signal.SIGKILL if how == "killed" else 0)
    assert all(_is_gone(int(pid)) for pid in done.stdout.split())


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_in_a_fork_of_this_process_another_one_forks() -> None:
    """What is here belongs to who has made it."""
    one, pipe, parent, *_ = _started("X")
    here, there = multiprocessing.Pipe()
    if (pid := os.fork()) == 0:
        try:
            process, _pipe, other, *_ = _started("X")
            process.kill()
            process.join()
            there.send((other, process.exitcode))
        finally:
            os._exit(0)
    there.close()
    other, ended = here.recv()
    os.waitpid(pid, 0)
    assert other not in (parent, pid)
    assert ended == -signal.SIGKILL
    pipe.send(6)
    one.join()
    assert one.exitcode == 6
