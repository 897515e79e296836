"""Code from outside, called so that what it does wrong is its own error: timed, its output kept off the terminal."""

import atexit
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
_LEAST_S, _LEAST_NS, _MOST_IDLE = 0.01, 50 * 10**6, 20
TIME_LIMIT = "10 s"
"""How long one call may take, where nobody says otherwise."""


class _TooLong(BaseException):
    """Raised in code that has had its time; not an Exception, which it might catch."""


class _Alarm:
    """A timer that rings now and then while calls are made: to set one for each call would take longer than most do."""

    def __init__(self) -> None:
        self.since_ns = 0
        """When the call that is under way began; 0: there is none."""
        self.limit_ns = 0
        self.every_s = 0.0
        """How often it rings; 0: it does not."""
        self._n_idle = 0

    def attend(self, limit_ns: int) -> None:
        """Ring often enough for a limit like this, from now on."""
        every_s = max(limit_ns / 4e9, _LEAST_S)
        if not self.every_s or every_s < self.every_s:
            self.every_s, self._n_idle = every_s, 0
            signal.signal(signal.SIGALRM, self._ring)
            signal.setitimer(signal.ITIMER_REAL, every_s, every_s)

    def _ring(self, number: int, frame: Any) -> None:
        if self.since_ns:
            self._n_idle = 0
            now = time.perf_counter_ns()
            # What is over sooner than that is found too long when it returns.
            if now - self.since_ns > max(self.limit_ns, _LEAST_NS):
                # Where Python drops it, as in a destructor, it comes again.
                self.since_ns = now
                raise _TooLong
            return
        self._n_idle += 1
        if self._n_idle > _MOST_IDLE:
            # The run is over.
            self.stop()

    def stop(self) -> None:
        """Ring no more. Python lets go of its handlers as it ends, and a signal would end the process then."""
        if self.every_s:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self.every_s = 0.0


_ALARM = _Alarm()
atexit.register(_ALARM.stop)


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

    def call(self, function: Callable[..., Any], *arguments: Any) -> tuple[Any, int, int]:
        """What it returns, and the wall time and this thread's CPU time that it took, in ns.

        Raises:
            OutsideError: it failed, took too long, or started processes that go on with the run.
        """
        stdout, sys.stdout = sys.stdout, self._printed
        n_forks = _FORKS[0]
        cpu = time.thread_time_ns()
        start = time.perf_counter_ns()
        if self._rings:
            if not _ALARM.every_s or _ALARM.limit_ns != self._limit_ns:
                _ALARM.attend(self._limit_ns)
                _ALARM.limit_ns = self._limit_ns
            _ALARM.since_ns = start
        try:
            found = function(*arguments)
            taken_ns = time.perf_counter_ns() - start
            cpu_ns = time.thread_time_ns() - cpu
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
            _ALARM.since_ns = 0
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
        return found, taken_ns, cpu_ns

    def _late(self, taken_ns: int) -> str:
        limit_s = self._limit_ns / 1e9
        return f"took {taken_ns / 1e9:.1f} s for one call; expected at most {limit_s:g} s (time_limit)"
