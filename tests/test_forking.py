"""Processes that are forked from one that has imported what they need: as those that start afresh."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import pytest

from experiments import forking

pytestmark = pytest.mark.skipif(not forking.CAN_FORK, reason="processes are forked on Linux alone")


def _tell(pipe: Connection, name: str) -> None:
    """Says who started it and what it has of the environment, and ends as it is told."""
    pipe.send((os.getppid(), os.environ.get(name)))
    raise SystemExit(pipe.recv())


def _started(name: str) -> tuple[Any, Connection, int, str | None]:
    here, there = multiprocessing.Pipe()
    process = forking.start(_tell, there, (name,), [])
    there.close()
    return process, here, *here.recv()


def test_it_is_as_one_that_starts_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of the moment, exit codes and signals; and where that which forks dies, another one comes."""
    monkeypatch.setenv("TIERFETCH_X", "1")
    one, pipe, parent, seen = _started("TIERFETCH_X")
    assert isinstance(one, forking.Forked)
    assert parent != os.getpid()
    assert seen == "1"
    pipe.send(7)
    one.join()
    assert one.exitcode == 7
    # What is read late is handed on to the next one; it has the same parent.
    monkeypatch.setenv("TIERFETCH_X", "2")
    two, _, same, seen = _started("TIERFETCH_X")
    assert (same, seen) == (parent, "2")
    two.kill()
    two.join()
    assert two.exitcode == -signal.SIGKILL
    # A package may have read it when it was imported.
    monkeypatch.setenv("NUMBA_X", "1")
    three, pipe, other, seen = _started("NUMBA_X")
    assert seen == "1"
    assert other != parent
    os.kill(other, signal.SIGKILL)
    pipe.close()
    three.join()
    assert three.exitcode == 255
    four, _, another, _ = _started("NUMBA_X")
    assert another not in (other, os.getpid())
    four.kill()
    four.join()


def test_where_none_can_be_forked_they_start_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: Any) -> Callable[..., Any]:
        raise BrokenPipeError

    monkeypatch.setattr(forking._Source, "fork", fails)
    process, pipe, parent, _ = _started("X")
    assert parent == os.getpid()
    pipe.send(0)
    process.join()
    assert process.exitcode == 0
