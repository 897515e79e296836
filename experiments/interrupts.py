"""Ctrl-C that is not lost."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """From its making until ``close``, an interrupt is kept in mind, for who asks now and then.

    Python drops a KeyboardInterrupt that is raised while it cleans an object up or calls back: the command would go on.
    """

    def __init__(self) -> None:
        self._has_come = False
        # Elsewhere than in the main thread nobody may ask for signals, and no interrupt is raised.
        self._is_main = threading.current_thread() is threading.main_thread()
        if self._is_main:
            self._before = signal.signal(signal.SIGINT, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._has_come = True
        raise KeyboardInterrupt

    def check(self) -> None:
        """Raises KeyboardInterrupt if one has come."""
        if self._has_come:
            raise KeyboardInterrupt

    def close(self) -> None:
        """Interrupts are what they were before."""
        if self._is_main:
            signal.signal(signal.SIGINT, self._before)


@contextmanager
def none_for_children() -> Iterator[None]:
    """Processes that are started meanwhile never see an interrupt.

    Ctrl-C reaches all processes of a terminal, and one that is just starting would end with a traceback of its own.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
