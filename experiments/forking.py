"""Processes for runs, forked from one that has imported what they need: each would take seconds to do so itself.

That one starts afresh, holds no threads of ours and computes nothing: what this process has in threads would be lost
half-way in a fork of it. Where forks are none (elsewhere than on Linux), or it is gone, processes start afresh.
"""

import gc
import importlib
import multiprocessing
import os
import random
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Any

CAN_FORK = sys.platform == "linux"
_ALWAYS = ("experiments.single", "experiments.compiling")
# Of the environment, what is read when it is used: it is handed on. Of all else packages may read when imported.
_READ_LATE = ("TIERFETCH_", "PYTEST_CURRENT_TEST")
_LOST = 255


class Forked:
    """A process that was forked elsewhere: as much of multiprocessing's as is needed here."""

    def __init__(self, source: "_Source", pid: int) -> None:
        self._source = source
        self.pid = pid
        self.exitcode: int | None = None

    def kill(self) -> None:
        """End it, if it has not ended."""
        if self.exitcode is None:
            # Nobody else has its number until it has been waited for; but who does that may be gone.
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def join(self) -> None:
        """Wait for its end."""
        if self.exitcode is None:
            self.exitcode = self._source.wait_for(self.pid)


def start(target: Callable[..., None], pipe: Connection, arguments: tuple[Any, ...], needed: Sequence[str]) -> Any:
    """A process that does ``target(pipe, *arguments)``; ``needed`` are modules that it will import.

    It ends with this process's interest: it is killed, or finds nobody at the other end of its pipe. ``__main__`` is
    what the caller makes it, as when processes start afresh.
    """
    if CAN_FORK:
        with _LOCK:
            if _Source.current is None or not _Source.current.is_fit():
                _Source.renew()
            assert _Source.current is not None
            try:
                return _Source.current.fork(target, pipe, arguments, needed)
            except (OSError, EOFError):
                _Source.current.close()
                _Source.current = None
    process = multiprocessing.get_context("spawn").Process(target=target, args=(pipe, *arguments), daemon=True)
    process.start()
    return process


_LOCK = threading.RLock()


def _surroundings() -> tuple[Any, ...]:
    """What a process has from the one that starts it, beside what it is told."""
    import resource

    late = {name: value for name, value in os.environ.items() if not name.startswith(_READ_LATE)}
    limits = [resource.getrlimit(getattr(resource, name)) for name in sorted(dir(resource)) if name[:7] == "RLIMIT_"]
    return os.getpid(), late, list(sys.path), limits, os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0)


class _Source:
    """The process that others are forked from, seen from here."""

    current: "_Source | None" = None

    def __init__(self) -> None:
        self._surroundings = _surroundings()
        context = multiprocessing.get_context("spawn")
        self._orders, there = context.Pipe()
        self._process = context.Process(target=_fork, args=(there,), daemon=True)
        self._process.start()
        there.close()

    @classmethod
    def renew(cls) -> None:
        """Another one, in place of one that does not fit any more."""
        if cls.current is not None:
            cls.current.close()
        cls.current = _Source()

    def is_fit(self) -> bool:
        """Whether processes forked from it are what ones are that start now."""
        return self._surroundings == _surroundings() and self._process.is_alive()

    def fork(
        self, target: Callable[..., None], pipe: Connection, arguments: tuple[Any, ...], needed: Sequence[str]
    ) -> Forked:
        """A process. Raises OSError or EOFError where that which forks is gone."""
        given = reduction.ForkingPickler.dumps((target, arguments, dict(os.environ)))
        self._orders.send(("fork", (tuple(needed), bytes(given))))
        reduction.send_handle(self._orders, pipe.fileno(), self._process.pid)
        return Forked(self, self._orders.recv())

    def wait_for(self, pid: int) -> int:
        """How a process ended, when it has; negative the signal. Where nobody knows, 255."""
        with _LOCK:
            try:
                self._orders.send(("wait", pid))
                return int(self._orders.recv())
            except (OSError, EOFError):
                self.close()
                return _LOST

    def close(self) -> None:
        """It ends; what was forked from it goes on, and its end can be waited for no more."""
        if self._surroundings[0] == os.getpid():
            self._orders.close()
            self._process.kill()
            self._process.join()


def _fork(orders: Connection) -> None:
    """What the process does that others are forked from, until nobody asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # All that is imported stays, and its memory is shared for as long as nobody looks for garbage in it.
    gc.disable()
    imported = set[str]()
    with suppress(EOFError, BrokenPipeError):
        while True:
            order, what = orders.recv()
            if order == "wait":
                orders.send(os.waitstatus_to_exitcode(os.waitpid(what, 0)[1]))
                continue
            needed, given = what
            fd = reduction.recv_handle(orders)
            for name in (*_ALWAYS, *needed):
                if name not in imported:
                    imported.add(name)
                    # Where it cannot be imported, who needs it says so.
                    with suppress(Exception):
                        importlib.import_module(name)
                    gc.freeze()
            if pid := os.fork():
                os.close(fd)
                orders.send(pid)
            else:
                orders.close()
                _be(Connection(fd), given)


def _be(pipe: Connection, given: bytes) -> None:
    """What a forked process does."""
    code = 1
    try:
        gc.enable()
        # Each process draws numbers of its own where nobody seeds them.
        random.seed()
        sys.modules["numpy"].random.seed()
        target, arguments, environment = reduction.ForkingPickler.loads(given)
        os.environ.clear()
        os.environ.update(environment)
        target(pipe, *arguments)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
