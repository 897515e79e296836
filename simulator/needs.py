"""What policies are shown beyond keys, streams and outcomes, on request (rule R12): looked up in Python when asked.

Compiled code knows nothing of it but which accesses it shows.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.errors import InputError
from simulator.policy import Policy, Trigger
from simulator.trace import Batch, begins

Rows = npt.NDArray[np.uint64]
"""(columns, accesses)."""
ALWAYS_THERE: Mapping[str, Any] = {
    "access": np.int64,
    "op": np.uint8,
    "size_bytes": np.int64,
    "time_ns": np.int64,
    "request": np.uint64,
    "position": np.int64,
}
"""What every access has: its number in the trace, operation, size, arrival (in a closed loop the trace's own time, if
it has one), request, and which one of its request it is, from 0. All other columns are features of the trace."""


def needs_of(policy: Policy) -> tuple[str, ...]:
    """The columns that a policy is to be shown: those that it asks for, none where it is never asked."""
    asked_for: tuple[str, ...] = getattr(policy, "needs", ())
    return () if policy.trigger == Trigger.NEVER else tuple(dict.fromkeys(asked_for))


def features_among(needs: Sequence[str]) -> list[str]:
    """Those that only some traces have."""
    return [name for name in needs if name not in ALWAYS_THERE]


def check_needs(who: str, needs: Sequence[str], batch: Batch) -> None:
    """A trace has the features that ``who`` asks for. Raises InputError if one is missing."""
    for name in features_among(needs):
        if name not in batch.features:
            there = f"one of {', '.join(map(repr, sorted(batch.features)))}" if batch.features else "a trace with some"
            raise InputError(
                f"{who} asks for the feature {name!r}, which the trace does not have; expected {there} "
                f"(columns.features of a source), or one of {', '.join(ALWAYS_THERE)}"
            )


class Columns:
    """The columns of one batch after another; batches follow on each other."""

    def __init__(self, who: str, names: Sequence[str], first_access: int) -> None:
        """``who`` asks for them, for messages; the first batch begins with access ``first_access`` of the trace."""
        self._who, self.names = who, tuple(names)
        self._next_access = first_access
        self._before: tuple[int, int] | None = None
        self._position = 0

    def of(self, batch: Batch) -> dict[str, npt.NDArray[Any]]:
        """A column for each name, in the types of ALWAYS_THERE. Raises InputError if the batch lacks a feature."""
        check_needs(self._who, self.names, batch)
        made: dict[str, npt.NDArray[Any]] = {}
        n = len(batch)
        if "access" in self.names:
            made["access"] = np.arange(self._next_access, self._next_access + n)
        if "position" in self.names:
            made["position"] = self._positions(batch)
        self._next_access += n
        for name in self.names:
            if name not in made:
                made[name] = getattr(batch, name) if name in ALWAYS_THERE else batch.features[name]
        return {name: made[name] for name in self.names}

    def _positions(self, batch: Batch) -> npt.NDArray[np.int64]:
        if not len(batch):
            return np.empty(0, np.int64)
        places = np.arange(len(batch))
        starts = begins(batch, self._before)
        # Before the first start the request of the batch before goes on.
        last_start = np.maximum.accumulate(np.where(starts, places, -self._position))
        found = places - last_start
        self._before = int(batch.stream[-1]), int(batch.request[-1])
        self._position = int(found[-1]) + 1
        return found


class ToShow:
    """Columns of the accesses that were loaded and have not been shown, by their numbers: the order is the run's."""

    def __init__(self, who: str, names: Sequence[str], *, first_access: int) -> None:
        """``who`` asks for them, for messages; the first access that is added has this number."""
        self._columns = Columns(who, names, first_access)
        self._who, self.names = who, tuple(names)
        self._next = first_access
        # Of each piece its first access, its columns, and how many of its accesses have not been shown.
        self._firsts: list[int] = []
        self._pieces: list[Rows] = []
        self._left: list[int] = []

    def check(self, batch: Batch) -> None:
        """Accesses have what is to be shown. Raises InputError if they lack a feature."""
        if len(batch):
            check_needs(self._who, self.names, batch)

    def add(self, batch: Batch) -> None:
        """The next accesses of the trace. Raises InputError if they lack a feature."""
        if not len(batch):
            return
        columns = self._columns.of(batch)
        self._firsts.append(self._next)
        self._pieces.append(np.array([columns[name].astype(np.uint64) for name in self.names], np.uint64))
        self._left.append(len(batch))
        self._next += len(batch)

    def take(self, accesses: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
        """The columns of accesses that are shown now, each once; there may be none (R14)."""
        rows = np.empty((len(self.names), len(accesses)), np.uint64)
        pieces = np.searchsorted(self._firsts, accesses, side="right") - 1
        for piece in np.unique(pieces).tolist():
            mine = pieces == piece
            rows[:, mine] = self._pieces[piece][:, accesses[mine] - self._firsts[piece]]
            self._left[piece] -= int(mine.sum())
        kept = [i for i, n_left in enumerate(self._left) if n_left]
        if len(kept) < len(self._left):
            self._firsts, self._left = [self._firsts[i] for i in kept], [self._left[i] for i in kept]
            self._pieces = [self._pieces[i] for i in kept]
        return {
            name: row.astype(ALWAYS_THERE.get(name, np.uint64), copy=False)
            for name, row in zip(self.names, rows, strict=True)
        }
