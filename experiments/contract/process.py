"""What of a process everybody shares: random states, folder, environment and so on, to be compared and put back."""

import os
import random
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

_OWN = "numpy.random.default_rng(seed) or random.Random(seed), of a seed that its constructor takes"


class _Part(NamedTuple):
    expected: str
    read: Callable[[], Any]
    write: Callable[[Any], Any]


def _set_environment(before: dict[str, str]) -> None:
    for name in set(os.environ) - set(before):
        del os.environ[name]
    os.environ.update(before)


def _set_interrupt(handler: Any) -> None:
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, handler)


def _numpy_state() -> Any:
    return np.random.get_state()  # noqa: NPY002 - it is the one that must stay as it is


def _of_torch() -> Any:
    # Only where somebody uses it: to import it takes seconds.
    torch: Any = sys.modules.get("torch")
    return None if torch is None else torch.get_rng_state()


def _set_torch(state: Any) -> None:
    if state is not None:
        sys.modules["torch"].set_rng_state(state)


TORCH = "the random state of torch"
_PARTS = {
    "the random state of random": _Part(_OWN, random.getstate, random.setstate),
    "the random state of numpy.random": _Part(_OWN, _numpy_state, np.random.set_state),
    TORCH: _Part("a torch.Generator of its own", _of_torch, _set_torch),
    "the working folder": _Part("paths that are whole", os.getcwd, os.chdir),
    "the environment": _Part("settings in its constructor", lambda: dict(os.environ), _set_environment),
    "what numpy does on floating-point errors": _Part(
        "with numpy.errstate(...)", np.geterr, lambda before: np.seterr(**before)
    ),
    "what Ctrl-C does": _Part("to leave signals alone", lambda: signal.getsignal(signal.SIGINT), _set_interrupt),
}


class Process:
    """As it is now."""

    def __init__(self) -> None:
        self._before = {name: part.read() for name, part in _PARTS.items()}

    def note(self, name: str) -> None:
        """Of one part: it may be as it is now."""
        self._before[name] = _PARTS[name].read()

    def changed(self) -> dict[str, str]:
        """What is another than it was, and what was expected instead."""
        return {
            name: part.expected
            for name, part in _PARTS.items()
            if repr(_of(part.read())) != repr(_of(self._before[name]))
        }

    def put_back(self) -> None:
        """As it was."""
        for name, part in _PARTS.items():
            part.write(self._before[name])


def _of(state: Any) -> Any:
    """Arrays as bytes: they are printed shortened."""
    if isinstance(state, tuple):
        return [_of(part) for part in state]
    return np.asarray(state).tobytes() if hasattr(state, "__array__") else state
