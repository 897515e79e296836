"""Ctrl-C that is not lost, and SIGTERM that is one."""

import gc
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType


class TerminatedError(KeyboardInterrupt):
    """SIGTERM, which schedulers send: an interrupt with another exit code."""


def _terminate(number: int, frame: FrameType | None) -> None:
    raise TerminatedError


@contextmanager
def terminations() -> Iterator[None]:
    """Meanwhile SIGTERM is an interrupt: what is half-made is cleaned up."""
    # Who ignores it, or has a use of its own for it, goes on doing so.
    is_free = (
        threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    )
    if is_free:
        signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        if is_free:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


class Interrupts:
    """From its making until ``close``, an interrupt is kept in mind, for who asks now and then.

    Python drops a KeyboardInterrupt that is raised while it cleans an object up or calls back: the command would go on.
    What it then writes about that, with a traceback, is left out, as ``check`` raises it once more.
    """

    def __init__(self) -> None:
        self._has_come: type[KeyboardInterrupt] | None = None
        # Elsewhere than in the main thread nobody may ask for signals, and no interrupt is raised.
        self._is_main = threading.current_thread() is threading.main_thread()
        if self._is_main:
            self._before = {signal.SIGINT: signal.signal(signal.SIGINT, self._note)}
            if signal.getsignal(signal.SIGTERM) is _terminate:
                self._before[signal.SIGTERM] = signal.signal(signal.SIGTERM, self._note)
            self._unraisable = sys.unraisablehook
            sys.unraisablehook = self._drop

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._has_come = TerminatedError if number == signal.SIGTERM else KeyboardInterrupt
        raise self._has_come

    def _drop(self, dropped: "sys.UnraisableHookArgs") -> None:
        if not self._has_come:
            self._unraisable(dropped)

    def check(self) -> None:
        """Raises KeyboardInterrupt if one has come."""
        if self._has_come:
            raise self._has_come

    def close(self) -> None:
        """Interrupts are what they were before."""
        if self._is_main:
            for number, before in self._before.items():
                signal.signal(number, before)
            sys.unraisablehook = self._unraisable


def let_go(interrupt: KeyboardInterrupt) -> None:
    """Let go of what an interrupt found half-made: it may complain as it goes, and nobody is to read that."""
    before, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        traceback.clear_frames(interrupt.__traceback__)
        gc.collect()
    finally:
        sys.unraisablehook = before


@contextmanager
def none_for_children() -> Iterator[None]:
    """Processes that are started meanwhile never see an interrupt.

    Ctrl-C reaches all processes of a terminal, and one that is just starting would end with a traceback of its own.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # It is started with the first of them, and lets interrupts in again as it is.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
