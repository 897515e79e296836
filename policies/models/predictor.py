"""A network between an encoder's two ends: accesses in, keys and confidences out, each call timed by who asks."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from policies.models.backend import Backend
from policies.models.codecs.base import Classes, Floats, Keys
from policies.models.context import Context, Taken
from policies.models.device import device_name
from policies.models.encoder import NO_COLUMNS, Columns, Encoder, Found, Seen

Question = tuple[Taken, int]
"""What is to be run, and the key that it ends with."""
WARM_UP_CALLS = 50


class Line:
    """One sequence of accesses that predictions follow: its context and its last key."""

    __slots__ = ("context", "last_key")

    def __init__(self, context: Context) -> None:
        self.context = context
        self.last_key: int | None = None

    def ask(self) -> Question:
        """What follows the accesses so far?"""
        assert self.last_key is not None
        return self.context.take(), self.last_key


class Predictor:
    """An encoder and a network on one backend; ``context`` makes what a line knows of the accesses before.

    ``trial_ns`` has the median times of the backends that were tried.
    """

    def __init__(
        self, encoder: Encoder, backend: Backend, context: Callable[[], Context], horizon: int,
        trial_ns: dict[str, float] | None = None,
    ) -> None:  # fmt: skip
        self.encoder = encoder
        self.backend = backend
        self.horizon = horizon
        self.trial_ns = trial_ns or {}
        self._context = context
        self._device_ns = 0

    def warmed(self, first: Seen, then: Sequence[Seen]) -> list[tuple[int, int]]:
        """Host and device time, in ns, of calls whose times mean nothing for later ones.

        ``first`` are accesses that fill a window, as it soon is in a run; ``then`` one access a call.
        """
        line, times = self.line(), []
        self.see(line, first.key, first.columns)
        for seen in then:
            start = time.perf_counter_ns()
            self.see(line, seen.key, seen.columns)
            self.answer([line.ask()])
            times.append((time.perf_counter_ns() - start, self.take_device_ns()))
        return times

    def line(self) -> Line:
        """A sequence that has no accesses yet."""
        return Line(self._context())

    def see(self, line: Line, keys: Keys, columns: Columns = NO_COLUMNS) -> None:
        """Accesses (n,) of a line, in order."""
        line.context.see(self.encoder.inputs(Seen(keys, line.last_key, columns)))
        line.last_key = int(keys[-1])

    def _advance(self, classes: Classes, states: Sequence[Any]) -> Floats:
        scores = self.backend.advance(classes, states)
        self._device_ns += self.backend.last_device_ns()
        return scores

    def take_device_ns(self) -> int:
        """What the device took since this was last asked."""
        taken, self._device_ns = self._device_ns, 0
        return taken

    def answer(self, questions: Sequence[Question]) -> list[Found]:
        """Predictions for each question; no two from one carried state. One call where it can be."""
        first = questions[0][0].classes
        if all(len(taken.classes) == len(first) for taken, _ in questions):
            classes = first[None] if len(questions) == 1 else np.stack([taken.classes for taken, _ in questions])
            scores = self._advance(classes, [taken.state for taken, _ in questions])
        else:
            scores = np.concatenate(
                [self._advance(taken.classes[None], [taken.state]) for taken, _ in questions]
            )  # fmt: skip
        return [self._found(taken, last_key, scores[i]) for i, (taken, last_key) in enumerate(questions)]

    def _found(self, taken: Taken, last_key: int, scores: Floats) -> Found:
        return list(self.encoder.answers(last_key, scores))

    def details(self) -> dict[str, Any]:
        """What the tables say about where it runs."""
        tried = sorted(self.trial_ns.items(), key=lambda item: item[1])
        return {
            "device": device_name(self.backend.device),
            "backend": self.backend.name,
            "backend_trial": ", ".join(f"{name} {ns / 1000:.1f} us" for name, ns in tried) or None,
            "horizon": self.horizon,
        }
