"""Arrivals of a coarse clock, spread over its ticks: a clock of seconds would have them come in bursts."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from simulator.seeds import generator
from simulator.trace import Batch, Workload, begins

Spreading = bool | Literal["jitter"]
Ints = npt.NDArray[np.int64]


class Spread:
    """A workload whose requests of one time are spread, in their order, over the time to the clock's next tick.

    The tick is the least time between two that differ. Of n requests number i comes i / n of a tick later, or, with
    ``jitter``, at times that are drawn, in order. A request's accesses come together.
    """

    def __init__(self, workload: Workload, how: Spreading, seed: int) -> None:
        self._workload, self._how, self._seed = workload, how, seed
        self.n_streams, self.stream_ids = workload.n_streams, workload.stream_ids
        self._known: tuple[Ints, int] | None = None

    def length(self) -> int:
        """How many accesses there are."""
        return self._workload.length()

    def phases(self) -> list[tuple[int, str]]:
        """Those of the workload."""
        found: list[tuple[int, str]] = getattr(self._workload, "phases", list)()
        return found

    @property
    def sha256(self) -> Any:
        """Of what was spread."""
        return getattr(self._workload, "sha256", None)

    @property
    def requests_per_time(self) -> float:
        """One: there are as many times as can be."""
        return 1.0

    def _requests(self) -> tuple[Ints, int]:
        """How many requests each stretch of one time has, in order, and the tick in ns."""
        if self._known is None:
            counts: list[int] = []
            tick, last, before = 0, None, None
            for batch in self._workload.batches():
                new = begins(batch, before)
                for time, n in zip(*_stretches(batch.time_ns, new), strict=True):
                    if time == last:
                        counts[-1] += n
                    else:
                        if last is not None and time > last:
                            tick = min(tick or time - last, time - last)
                        counts.append(n)
                    last = time
                if len(batch):
                    before = int(batch.stream[-1]), int(batch.request[-1])
            self._known = np.array(counts, np.int64), tick
        return self._known

    def batches(self) -> Iterator[Batch]:
        """The trace, from its start."""
        counts, tick = self._requests()
        draws = generator(self._seed, "spread")
        stretch, done, last = -1, 0, None
        before: tuple[int, int] | None = None
        offsets: npt.NDArray[Any] = np.empty(0)
        for batch in self._workload.batches():
            new, times = begins(batch, before), batch.time_ns.copy()
            for first, end in _bounds(batch.time_ns):
                if batch.time_ns[first] != last:
                    stretch, done, last = stretch + 1, 0, int(batch.time_ns[first])
                    # A request that goes on from the time before begins none here.
                    n = max(int(counts[stretch]), 1)
                    drawn = np.sort(draws.integers(0, max(tick, 1), n)) if self._how == "jitter" else None
                    offsets = tick * np.arange(n) // n if drawn is None else drawn
                number = done + np.cumsum(new[first:end]) - 1
                done = int(number[-1]) + 1
                times[first:end] += offsets[np.maximum(number, 0)]
            if len(batch):
                before = int(batch.stream[-1]), int(batch.request[-1])
            yield replace(batch, time_ns=times)


def _bounds(times: Ints) -> Iterator[tuple[int, int]]:
    """The stretches of one time: first place, and the place behind the last."""
    edges = [0, *(np.flatnonzero(np.diff(times)) + 1).tolist(), len(times)]
    return ((a, b) for a, b in pairwise(edges) if a < b)


def _stretches(times: Ints, new: npt.NDArray[np.bool_]) -> tuple[list[int], list[int]]:
    """Each stretch's time, and how many requests begin in it."""
    bounds = list(_bounds(times))
    return [int(times[a]) for a, _ in bounds], [int(new[a:b].sum()) for a, b in bounds]
