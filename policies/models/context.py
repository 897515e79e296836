"""What a prediction knows of the accesses before it: a state that is carried, or a window that is run again."""

from typing import Any, NamedTuple

import numpy as np

from policies.models.backend import Backend
from policies.models.codecs.base import Classes


class Taken(NamedTuple):
    """A question for the backend: accesses (T, fields) to run from a state, and the context as it is after them."""

    classes: Classes
    state: Any
    after: "Context"


class Carried:
    """A state that has seen everything, and the accesses that it has yet to see."""

    def __init__(self, backend: Backend, state: Any = None) -> None:
        self._backend = backend
        self.state = backend.new_state() if state is None else state
        self._pending: list[Classes] = []

    def see(self, classes: Classes) -> None:
        """Accesses (n, fields)."""
        self._pending.append(classes)

    def take(self) -> Taken:
        """What is to be run now. The next question may be taken only when this one has been run."""
        pending = self._pending
        self._pending = []
        return Taken(pending[0] if len(pending) == 1 else np.concatenate(pending), self.state, self)

    def branch(self) -> "Carried":
        """A context that goes its own way from what has been run."""
        return Carried(self._backend, self._backend.copy(self.state))


class Window:
    """The last accesses, run from the zero state at every question."""

    def __init__(self, backend: Backend, length: int, seen: Classes | None = None) -> None:
        self._backend = backend
        self._length = length
        self._seen = seen

    def see(self, classes: Classes) -> None:
        """Accesses (n, fields)."""
        seen = classes if self._seen is None else np.concatenate([self._seen, classes])
        self._seen = seen[-self._length :]

    def take(self) -> Taken:
        """The window and a zero state."""
        assert self._seen is not None
        return Taken(self._seen, self._backend.new_state(), self.branch())

    def branch(self) -> "Window":
        """A context that goes its own way from here."""
        return Window(self._backend, self._length, self._seen)


Context = Carried | Window
