"""Code from outside, called so that what it does wrong is its own error: timed, its output kept off the terminal."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from simulator.errors import MOST_FRAMES, OutsideError, frames_of

_FORKS = [0]
os.register_at_fork(after_in_parent=lambda: _FORKS.__setitem__(0, _FORKS[0] + 1))
_MOST_SHOWN = 200
_NO_ALARM_NS = 10**12
"""A limit from which on no alarm is set: nobody waits for it."""
TIME_LIMIT = "10 s"
"""How long one call may take, where nobody says otherwise."""


class _TooLong(BaseException):
    """Raised in code that has had its time; not an Exception, which it might catch."""


_IN_CALL = [False]


def _ring(number: int, frame: Any) -> None:
    if _IN_CALL[0]:
        raise _TooLong


class _Printed:
    """Stands in for the standard output, of which the first line is kept: ``first``, None until there is one."""

    def __init__(self) -> None:
        self.first: str | None = None
        self._begun = ""

    def write(self, text: str) -> int:
        if self.first is None:
            self._begun += text
            line, newline, _ = self._begun.lstrip().partition("\n")
            if newline or len(line) > _MOST_SHOWN:
                self.first = line[:_MOST_SHOWN]
        return len(text)

    def flush(self) -> None:
        """There is nothing to flush."""

    def isatty(self) -> bool:
        return False


class Watched:
    """Calls of ``who``, of which none may take longer than ``limit_ns``."""

    def __init__(self, who: str, limit_ns: int, say: Callable[[str], None]) -> None:
        self.who = who
        self._limit_ns = limit_ns
        self._printed: Any = _Printed()
        self._say, self._has_said = say, False
        self._process = os.getpid()
        # Signals come to the main thread alone; elsewhere a call is found too long when it is over.
        self._rings = limit_ns < _NO_ALARM_NS and threading.current_thread() is threading.main_thread()
        if self._rings:
            signal.signal(signal.SIGALRM, _ring)

    def call(self, function: Callable[..., Any], *arguments: Any) -> tuple[Any, int]:
        """What it returns, and the wall time that it took in ns.

        Raises:
            OutsideError: it failed, took too long, or started processes that go on with the run.
        """
        stdout, sys.stdout = sys.stdout, self._printed
        n_forks = _FORKS[0]
        if self._rings:
            signal.setitimer(signal.ITIMER_REAL, self._limit_ns / 1e9)
            _IN_CALL[0] = True
        start = time.perf_counter_ns()
        try:
            found = function(*arguments)
            taken_ns = time.perf_counter_ns() - start
        except _TooLong as error:
            where = frames_of(error)[-MOST_FRAMES:]
            raise OutsideError(f"{self.who}: {self._late(time.perf_counter_ns() - start)}", *where) from None
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            if os.getpid() != self._process:
                os._exit(1)
            if isinstance(error, OutsideError):
                raise
            raise OutsideError.of(self.who, error) from error
        finally:
            _IN_CALL[0] = False
            if self._rings:
                signal.setitimer(signal.ITIMER_REAL, 0)
            sys.stdout = stdout
        if os.getpid() != self._process:
            # A second process would go on with the run, and write what the first one writes.
            os._exit(0)
        if self._printed.first is not None and not self._has_said:
            self._has_said = True
            self._say(f"{self.who} prints: {self._printed.first!r}; what else it prints is left out")
        if n_forks != _FORKS[0]:
            raise OutsideError(f"{self.who}: forked a process; expected none: the run would go on twice")
        if taken_ns > self._limit_ns:
            raise OutsideError(f"{self.who}: {self._late(taken_ns)}")
        return found, taken_ns

    def _late(self, taken_ns: int) -> str:
        limit_s = self._limit_ns / 1e9
        return f"took {taken_ns / 1e9:.1f} s for one call; expected at most {limit_s:g} s (time_limit)"
