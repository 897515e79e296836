"""What Numba compiles is told to the user, wherever it takes more than a second: with what and how long."""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from numba.core import event

_TELL_AFTER_S = 1.0
_WHAT = (
    ("simulator.kernel", "the simulator's core"), ("simulator.residency", "the tiers, {name}"),
    ("simulator", "parts of the simulator"), ("policies.lstm", "the LSTM's kernels"),
    ("policies.models", "what goes into a network and comes out of it"), ("policies", "the policy {name}"),
    ("workloads", "the reading of traces"),
)  # fmt: skip


def what_of(module: str) -> str:
    """What a user calls the code of a module."""
    name = module.rpartition(".")[2]
    return next((what.format(name=name) for start, what in _WHAT if module.startswith(start)), module)


class Announced(event.Listener):
    """While it is entered, ``say`` is told what is compiled when that has taken a second, and how long it took."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._depth = 0
        self._timer: threading.Timer | None = None
        self._started = 0.0
        self._is_told = False

    def __enter__(self) -> "Announced":
        event.register("numba:compile", self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        event.unregister("numba:compile", self)
        self._stop()

    def on_start(self, event: Any) -> None:
        """A function begins to be compiled, perhaps for another one that is."""
        self._depth += 1
        if self._depth == 1:
            self._started, self._is_told = time.monotonic(), False
            function = event.data["dispatcher"]
            what = what_of(getattr(function, "py_func", function).__module__)
            self._timer = threading.Timer(_TELL_AFTER_S, self._tell, (what,))
            self._timer.daemon = True
            self._timer.start()

    def _tell(self, what: str) -> None:
        self._is_told = True
        self._say(f"compiling {what}, once for these sources ...")

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def on_end(self, event: Any) -> None:
        """It is compiled."""
        self._depth -= 1
        if self._depth == 0:
            self._stop()
            if self._is_told:
                self._say(f"compiled in {time.monotonic() - self._started:.0f} s")
