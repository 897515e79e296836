"""Feature columns for policies that ask for them (rule R12), looked up in Python when a policy is asked.

Compiled code knows nothing of them: a stream's accesses are issued, and shown, in the order of the trace.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from simulator.errors import InputError
from simulator.policy import Policy, Trigger
from simulator.trace import Batch, Features

Rows = npt.NDArray[np.uint64]
"""(features, accesses)."""


def features_of(policy: Policy) -> tuple[str, ...]:
    """The features that a policy is to be shown: those that it asks for, none where it is never asked."""
    asked_for: tuple[str, ...] = getattr(policy, "features", ())
    return () if policy.trigger == Trigger.NEVER else tuple(dict.fromkeys(asked_for))


def check_features(who: str, wanted: Sequence[str], batch: Batch) -> None:
    """A trace has the features that ``who`` asks for. Raises InputError if one is missing."""
    for name in wanted:
        if name not in batch.features:
            there = f"one of {', '.join(map(repr, sorted(batch.features)))}" if batch.features else "a trace with some"
            raise InputError(
                f"{who} asks for the feature {name!r}, which the trace does not have; expected {there} "
                "(columns.features of a source)"
            )


class ToShow:
    """Features of the accesses that were loaded and have not been shown, by stream where streams run apart."""

    def __init__(self, who: str, names: Sequence[str], *, in_order: bool) -> None:
        """``in_order``: accesses are shown in the order of the trace, whatever their streams."""
        self._who, self.names = who, tuple(names)
        self._in_order = in_order
        self._waiting: dict[int, _Queue] = {}

    def check(self, batch: Batch) -> None:
        """Accesses have what is to be shown. Raises InputError if they lack a feature."""
        if len(batch):
            check_features(self._who, self.names, batch)

    def add(self, batch: Batch) -> None:
        """The next accesses of the trace. Raises InputError if they lack a feature."""
        if not len(batch):
            return
        self.check(batch)
        rows = np.array([batch.features[name] for name in self.names], np.uint64)
        if self._in_order:
            self._of(0).add(rows)
            return
        order = np.argsort(batch.stream, kind="stable")
        rows = rows[:, order]
        for stream, first, end in _stretches(batch.stream[order]):
            self._of(stream).add(rows[:, first:end])

    def take(self, streams: npt.NDArray[np.uint32]) -> Features:
        """The features of the next accesses that are shown, which are of these streams."""
        if self._in_order:
            rows = self._of(0).take(len(streams))
        else:
            order = np.argsort(streams, kind="stable")
            rows = np.empty((len(self.names), len(streams)), np.uint64)
            for stream, first, end in _stretches(streams[order]):
                rows[:, order[first:end]] = self._of(stream).take(end - first)
        return dict(zip(self.names, rows, strict=True))

    def _of(self, stream: int) -> "_Queue":
        return self._waiting.setdefault(stream, _Queue())


class _Queue:
    """Rows that come in pieces, taken in order; a piece is let go when its last row was taken."""

    def __init__(self) -> None:
        self._pieces: deque[Rows] = deque()

    def add(self, rows: Rows) -> None:
        """More rows."""
        self._pieces.append(rows)

    def take(self, n: int) -> Rows:
        """The next ``n``, as a copy: who keeps it does not keep the piece."""
        taken = []
        while n > 0:
            piece = self._pieces.popleft()
            taken.append(piece[:, :n])
            if piece.shape[1] > n:
                self._pieces.appendleft(piece[:, n:])
            n -= taken[-1].shape[1]
        return np.concatenate(taken, axis=1)


def _stretches(streams: npt.NDArray[np.uint32]) -> list[tuple[int, int, int]]:
    """(Stream, first place, place behind the last) of each in sorted streams."""
    first = np.flatnonzero(np.diff(streams, prepend=-1)).tolist()
    return list(zip(streams[first].tolist(), first, [*first[1:], len(streams)], strict=True))
