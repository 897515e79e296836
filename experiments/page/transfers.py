"""What the table ``transfers`` says of links: when their channels were busy, and how long blocks waited for them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from experiments.charts.histogram import Histogram
from experiments.page.found import Found, is_one_of
from simulator.links import PRIORITY_NAMES

_BINS = 100
Ints = npt.NDArray[np.int64]


class Moves(NamedTuple):
    """By arm and link the share of channels that are busy, in bins of ``edges_ns``; by arm, link and class waits."""

    edges_ns: npt.NDArray[np.float64]
    busy: dict[tuple[str, str], npt.NDArray[np.float64]]
    waits: dict[tuple[str, str, str], Histogram]


class _Busy:
    """How long calls lasted together until each edge, exactly, from starts and ends alone."""

    def __init__(self, edges: npt.NDArray[np.float64]) -> None:
        self._edges = edges
        self._n, self._sum = np.zeros(len(edges)), np.zeros(len(edges))

    def add(self, started: Ints, ended: Ints) -> None:
        """Some calls."""
        for times, sign in ((started, 1.0), (ended, -1.0)):
            # The first edge that lies behind: from there on it counts.
            at = np.searchsorted(self._edges, times, side="left")
            weights = np.full(len(times), sign)
            self._n += np.bincount(at, weights, len(self._edges) + 1)[:-1]
            self._sum += np.bincount(at, sign * times, len(self._edges) + 1)[:-1]

    def in_bins(self) -> npt.NDArray[np.float64]:
        """Nanoseconds of channels within each bin."""
        until: npt.NDArray[np.float64] = np.cumsum(self._n) * self._edges - np.cumsum(self._sum)
        return np.diff(until)


def moves_of(found: Found) -> Moves | None:
    """What links did, over all runs that were asked for; None where no run keeps the table."""
    ends = [(batch.column(0).to_numpy().min(), batch.column(1).to_numpy().max())
            for batch in found.batches("transfers", None, ["started_ns", "ended_ns"])]  # fmt: skip
    if not ends:
        return None
    edges = np.linspace(min(first for first, _ in ends), max(last for _, last in ends), _BINS + 1)
    made = Moves(edges, {}, {})
    for arm in found.arms:
        n_runs, calls = len(found.of_arm(arm)), {link: _Busy(edges) for link in found.links}
        for link, kind, queued, started, ended, is_new in _rows(found, arm):
            for name in found.links:
                of_link = is_one_of(link, name)
                calls[name].add(started[of_link & is_new], ended[of_link & is_new])
                for class_ in PRIORITY_NAMES:
                    mine = of_link & is_one_of(kind, class_)
                    if mine.any():
                        waits = made.waits.setdefault((arm, name, class_), Histogram())
                        waits.add((started - queued)[mine])
        for name, busy in calls.items():
            total = busy.in_bins()
            if total.any():
                room = np.diff(edges) * _channels(found.config["system"], found.links, name) * n_runs
                made.busy[arm, name] = total / room
    return made


def _rows(found: Found, arm: str) -> Iterator[tuple[Any, Any, Ints, Ints, Ints, npt.NDArray[np.bool_]]]:
    """Batches of an arm; the last column says which rows begin a call, which several blocks may share."""
    names = ["link", "class", "queued_ns", "started_ns", "ended_ns", "seed", "repeat", "call"]
    last = np.full((3, 1), -1)
    for batch in found.batches("transfers", arm, names):
        queued, started, ended = (batch.column(i).to_numpy() for i in (2, 3, 4))
        of = np.array([batch.column(i).to_numpy() for i in (5, 6, 7)])
        before = np.concatenate([last, of[:, :-1]], axis=1)
        last = of[:, -1:]
        yield batch.column(0), batch.column(1), queued, started, ended, (of != before).any(0)


def _channels(system: dict[str, Any], links: list[str], name: str) -> int:
    """How many a link has; where blocks are computed, the origin's."""
    place = links.index(name)
    found = system["links"][place] if place < len(system["links"]) else system["origin"]
    return int(found["channels"])
