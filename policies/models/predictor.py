"""A network between an encoder's two ends: accesses in, keys and confidences out, each call timed by who asks."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from policies.models.backend import Backend
from policies.models.choice import trial_text
from policies.models.codecs.base import Classes, Keys
from policies.models.context import Context, Taken
from policies.models.device import device_name
from policies.models.encoder import NO_COLUMNS, CodecEncoder, Columns, Encoder, Found, Seen
from policies.models.gpu_memory import gpu_memory

Question = tuple[Taken, int]
"""What is to be run, and the key that it ends with."""
After = Any
"""What a backend says of what follows: scores (C,), or the best classes and their confidences, if those are chosen."""
WARM_UP_CALLS = 50


class Line:
    """One sequence of accesses that predictions follow: its context, its last key, and whether it has new accesses."""

    __slots__ = ("context", "has_new", "last_key")

    def __init__(self, context: Context) -> None:
        self.context = context
        self.last_key: int | None = None
        self.has_new = False

    def ask(self) -> Question:
        """What follows the accesses so far?"""
        assert self.last_key is not None
        self.has_new = False
        return self.context.take(), self.last_key


class Predictor:
    """An encoder and a network on one backend; ``context`` makes what a line knows of the accesses before.

    Where the encoder says what it wants of scores, the backend chooses, else the encoder has the scores. ``trial_ns``
    has the median times of the backends that were tried.
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
        self._choosing = encoder.choosing() if isinstance(encoder, CodecEncoder) else None

    @property
    def ahead(self) -> int:
        """Which access its best guess is about; of a set there is no one, and it is held against the next."""
        return 1 if isinstance(self.encoder, CodecEncoder) and self.encoder.is_set else self.horizon

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
            times.append(self.timed(time.perf_counter_ns() - start))
        return times

    def line(self) -> Line:
        """A sequence that has no accesses yet."""
        return Line(self._context())

    def see(self, line: Line, keys: Keys, columns: Columns = NO_COLUMNS) -> None:
        """Accesses (n,) of a line, in order."""
        line.context.see(self.encoder.inputs(Seen(keys, line.last_key, columns)))
        line.last_key, line.has_new = int(keys[-1]), True

    def _advance(self, classes: Classes, states: Sequence[Any]) -> Sequence[After]:
        if self._choosing is None:
            return list(self.backend.advance(classes, states))
        return self.backend.best(classes, states, self._choosing)

    def timed(self, host_ns: int) -> tuple[int, int]:
        """Host and device time of all calls since the last that were timed, ``host_ns`` by the host's clock.

        The device's clock is read only now, and what the host needed for that in between is taken off.
        """
        device_ns, reading_ns = self.backend.take_device_time()
        return host_ns - reading_ns, device_ns

    def answer(self, questions: Sequence[Question]) -> list[Found]:
        """Predictions for each question; no two from one carried state. One call for those of like length."""
        return self._all_found(questions, self._together([taken for taken, _ in questions]))

    def _together(self, taken: Sequence[Taken]) -> Sequence[After]:
        """What follows each."""
        if len(taken) == 1:
            return self._advance(taken[0].classes[None], [taken[0].state])
        of_length: dict[int, list[int]] = {}
        for i, one in enumerate(taken):
            of_length.setdefault(len(one.classes), []).append(i)
        rows: dict[int, After] = {}
        for alike in of_length.values():
            classes = np.stack([taken[i].classes for i in alike])
            rows.update(zip(alike, self._advance(classes, [taken[i].state for i in alike]), strict=True))
        return [rows[i] for i in range(len(taken))]

    def _all_found(self, questions: Sequence[Question], after: Sequence[After]) -> list[Found]:
        """What that means, for each question."""
        return [self._found(last_key, one) for (_, last_key), one in zip(questions, after, strict=True)]

    def _found(self, last_key: int, after: After) -> Found:
        if self._choosing is None:
            return list(self.encoder.answers(last_key, after))
        assert isinstance(self.encoder, CodecEncoder)
        return self.encoder.decoded(last_key, *after)

    def details(self) -> dict[str, Any]:
        """What the tables say about where it runs."""
        return {
            "device": device_name(self.backend.place),
            "backend": self.backend.name,
            "backend_trial": trial_text(self.trial_ns),
            "horizon": self.horizon,
            **gpu_memory(self.backend.place),
        }
