"""Processes for runs, forked from one that has imported what they need: each would take seconds to do so itself.

That one starts afresh, holds no threads of ours and computes nothing: what this process has in threads would be lost
half-way in a fork of it. Where forks are none (elsewhere than on Linux), or it is gone, processes start afresh.
"""

import atexit
import gc
import importlib
import multiprocessing
import os
import random
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import reduction
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from experiments.interrupts import none_for_children


def _can_name_processes() -> bool:
    """Linux does since 5.3, where nothing forbids it."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


CAN_FORK = sys.platform == "linux" and _can_name_processes()
_ALWAYS = ("experiments.single", "experiments.compiling")
# Of the environment, what is read when it is used: it is handed on. Of all else packages may read when imported.
_READ_LATE = ("TIERFETCH_", "PYTEST_CURRENT_TEST")


class Forked:
    """A process that was forked elsewhere: as much of multiprocessing's as is needed here."""

    def __init__(self, source: "_Source", pid: int) -> None:
        self._source = source
        self.pid = pid
        self.exitcode: int | None = None
        # It stands for this process alone, where the number may become another's once who forked it is gone.
        self._fd = os.pidfd_open(pid)

    def kill(self) -> None:
        """End it, if it has not ended."""
        if self._fd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._fd, signal.SIGKILL)

    def join(self) -> None:
        """Wait for its end; others can be started and waited for meanwhile."""
        if self._fd >= 0:
            wait([self._fd])
            self.exitcode = self._source.end_of(self.pid)
            os.close(self._fd)
            self._fd = -1


def start(target: Callable[..., None], arguments: tuple[Any, ...], needed: Sequence[str]) -> tuple[Any, Connection]:
    """A process that does ``target(pipe, *arguments)``, and the other end of its pipe.

    ``needed`` are modules that it will import. It ends with this process's interest: it is killed, or finds nobody at
    the other end of its pipe. ``__main__`` is what the caller makes it, as when processes start afresh.
    """
    # It may turn out to be gone.
    for _ in range(2 if CAN_FORK else 0):
        with _LOCK, suppress(OSError, EOFError):
            if _Source.current is None or not _Source.current.is_fit():
                _Source.renew()
            assert _Source.current is not None
            return _Source.current.fork(target, arguments, needed)
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=target, args=(there, *arguments), daemon=True)
    with none_for_children():
        process.start()
    there.close()
    return process, here


_LOCK = threading.RLock()


def _file(fd: int) -> tuple[int, int] | None:
    try:
        found = os.fstat(fd)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _surroundings() -> tuple[Any, ...]:
    """What a process has from the one that starts it, beside what it is told."""
    import resource

    late = {name: value for name, value in os.environ.items() if not name.startswith(_READ_LATE)}
    limits = [resource.getrlimit(getattr(resource, name)) for name in sorted(dir(resource)) if name[:7] == "RLIMIT_"]
    written = [_file(fd) for fd in (1, 2)]
    where = os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0)
    return os.getpid(), late, list(sys.path), limits, written, where


class _Source:
    """The process that others are forked from, seen from here."""

    current: "_Source | None" = None

    def __init__(self) -> None:
        self._surroundings = _surroundings()
        context = multiprocessing.get_context("spawn")
        self._orders, there = context.Pipe()
        self._process = context.Process(target=_fork, args=(there,), daemon=True)
        with none_for_children():
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
        return self._surroundings == _surroundings() and not self._orders.closed and self._process.is_alive()

    def fork(
        self, target: Callable[..., None], arguments: tuple[Any, ...], needed: Sequence[str]
    ) -> tuple[Forked, Connection]:
        """A process and its pipe. Raises OSError or EOFError where that which forks is gone."""
        given = bytes(reduction.ForkingPickler.dumps((target, arguments, dict(os.environ), str(Path.cwd()))))
        here, there = multiprocessing.Pipe()
        with there:
            try:
                pid = self._ask("fork", ((*_ALWAYS, *needed), given), there)
                if pid is None:
                    raise OSError
                return Forked(self, pid), here
            except BaseException:
                # Were it forked all the same, it finds nobody there.
                here.close()
                raise

    def end_of(self, pid: int) -> int | None:
        """How a process ended that has; negative the signal. None where nobody knows."""
        with _LOCK, suppress(OSError, EOFError):
            return int(self._ask("end", pid))
        return None

    def _ask(self, order: str, what: Any, pipe: Connection | None = None) -> Any:
        try:
            self._orders.send((order, what))
            if pipe is not None:
                reduction.send_handle(self._orders, pipe.fileno(), self._process.pid)
            return self._orders.recv()
        except BaseException:
            # Of an interrupt, too: the answer that is still to come would be taken for that to the next order.
            self.close()
            raise

    def close(self) -> None:
        """It ends; what was forked from it goes on, and how that ends is known no more."""
        if self._surroundings[0] == os.getpid():
            self._process.kill()
            self._process.join()
            self._orders.close()


@atexit.register
def _end() -> None:
    """It sees that nobody asks any more, and ends what is left of those it has forked."""
    if _Source.current is not None and _Source.current._surroundings[0] == os.getpid():
        _Source.current._orders.close()
        _Source.current._process.join(2)


def _fork(orders: Connection) -> None:
    """What the process does that others are forked from, until nobody asks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Were it ignored, nobody could be waited for.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # All that is imported stays, and its memory is shared for as long as nobody looks for garbage in it.
    gc.disable()
    imported, living = set[str](), set[int]()
    with suppress(EOFError, OSError):
        while True:
            order, what = orders.recv()
            if order == "end":
                living.discard(what)
                orders.send(os.waitstatus_to_exitcode(os.waitpid(what, 0)[1]))
                continue
            needed, given = what
            fd = reduction.recv_handle(orders)
            for name in needed:
                if name not in imported:
                    imported.add(name)
                    # Where it cannot be imported, who needs it says so.
                    with suppress(Exception):
                        importlib.import_module(name)
                    gc.freeze()
            pid = _forked()
            if pid == 0:
                orders.close()
                _be(Connection(fd), given)
            os.close(fd)
            if pid is not None:
                living.add(pid)
            orders.send(pid)
    for pid in living:
        os.kill(pid, signal.SIGKILL)
    os._exit(0)


def _forked() -> int | None:
    """A number in the process that forks, 0 in the one that is forked; None where there can be no more processes."""
    # Later Pythons warn of threads, as those that libraries start when they are imported; they look after themselves.
    with suppress(OSError), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()
    return None


def _be(pipe: Connection, given: bytes) -> None:
    """What a forked process does."""
    code = 1
    try:
        gc.enable()
        # Each process draws numbers of its own where nobody seeds them.
        random.seed()
        sys.modules["numpy"].random.seed()
        target, arguments, environment, folder = reduction.ForkingPickler.loads(given)
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
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
