"""What a timeline is made of, as columns: slices, counters, flows; and the order of all their events."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from experiments.timelines.lanes import OPEN, Ints

BEGIN, END, INSTANT, COUNT = range(4)
PIECE = 1 << 15
"""So many events are made into objects at once."""


class Flows:
    """The flows that pass through each of ``n`` slices, by number: pairs of a slice's row and a flow's id."""

    def __init__(self, n: int, pairs: Sequence[tuple[Ints, Ints]] = ()) -> None:
        rows = np.concatenate([np.zeros(0, np.int64), *(rows for rows, _ in pairs)])
        ids = np.concatenate([np.zeros(0, np.int64), *(ids for _, ids in pairs)])
        order = np.argsort(rows, kind="stable")
        self._ids = ids[order]
        self._starts = np.searchsorted(rows[order], np.arange(n + 1))

    def of(self, row: int) -> list[int]:
        """Of a slice."""
        found: list[int] = self._ids[self._starts[row] : self._starts[row + 1]].tolist()
        return found


@dataclass
class Slices:
    """Rows of a table as slices: where each lies, when, what it is called and what else is said of it.

    ``ends`` may be ``OPEN``. ``names`` and ``arguments`` are Arrow's: a row becomes an object when it is written.
    """

    tracks: Ints
    begins: Ints
    ends: Ints
    names: Any
    arguments: Any
    begin_flows: Flows = field(default_factory=lambda: Flows(0))
    end_flows: Flows = field(default_factory=lambda: Flows(0))

    def __len__(self) -> int:
        return len(self.begins)


class Counter(NamedTuple):
    """A value from each time on, until the next."""

    track: int
    times: Ints
    values: Any


class Event(NamedTuple):
    """One to be written: the place of its slices or counter among all, and its row there."""

    time_ns: int
    what: int
    place: int
    row: int


def in_order(slices: Sequence[Slices], counters: Sequence[Counter]) -> Iterator[list[Event]]:
    """All events in pieces, in the order in which a reader must find them.

    Of one time: first the ends; those of a track come in any order, since each closes what began last. Then the
    beginnings, in the order of ``slices``, which is that of causes, so that flows point forward; in each, what takes no
    time comes before what does and may follow it on its track. Then the counters.
    """
    columns: list[list[Any]] = [[] for _ in range(8)]

    def add(times: Ints, what: Any, place: int, rows: Ints, *keys: Any) -> None:
        full = (np.broadcast_to(np.asarray(value, np.int64), times.shape) for value in (what, place, rows, *keys))
        for column, values in zip(columns, (times, *full), strict=False):
            column.append(values)

    for place, some in enumerate(slices):
        rows, takes_time = np.arange(len(some)), some.ends > some.begins
        add(some.begins, np.where(takes_time, BEGIN, INSTANT), place, rows, 1, place, takes_time, rows)
        over = np.flatnonzero(takes_time & (some.ends != OPEN))
        add(some.ends[over], END, place, over, 0, place, 0, over)
    for place, counter in enumerate(counters):
        rows = np.arange(len(counter.times))
        add(counter.times, COUNT, place, rows, 2, place, 0, rows)
    times, whats, places, all_rows, *keys = (
        np.concatenate(column) if column else np.zeros(0, np.int64) for column in columns
    )
    order = np.lexsort((*keys[::-1], times))
    for at in range(0, len(order), PIECE):
        some_of = order[at : at + PIECE]
        values = (column[some_of].tolist() for column in (times, whats, places, all_rows))
        yield [Event(*row) for row in zip(*values, strict=True)]
