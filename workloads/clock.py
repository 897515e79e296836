"""A trace's clock: how fine it is, how much comes at one tick of it, and whether it goes forward."""

import numpy as np

from simulator.trace import Batch
from workloads.requests import Requests


class Clock:
    """Takes a trace batch by batch. A tick is a stretch of requests with one time."""

    def __init__(self) -> None:
        self.first_ns: int | None = None
        self.last_ns = 0
        self.n_ticks = 0
        self.largest_burst = 0
        """How many requests one tick has at most."""
        self.n_backwards = 0
        """How often a time is before the one before it."""
        self.furthest_back_ns = 0
        """How far a time is before the latest one so far, at most."""
        self._latest_ns = 0
        self._time_ns: int | None = None
        self._burst = 0
        self._requests = Requests()

    @property
    def n_requests(self) -> int:
        """How many there are."""
        return self._requests.n

    @property
    def span_ns(self) -> int:
        """From the first access to the latest time."""
        return self._latest_ns - (self.first_ns or 0)

    def add(self, batch: Batch) -> None:
        """The next accesses."""
        times = batch.time_ns
        if not len(times):
            return
        # Numbered as they begin: one that is larger than all before it is new.
        n_before = self._requests.n
        numbers = self._requests.of(batch).astype(np.int64)
        new = np.diff(np.maximum(np.maximum.accumulate(numbers), n_before - 1), prepend=n_before - 1) > 0
        starts = np.ones(len(times), bool)
        starts[1:] = times[1:] != times[:-1]
        starts[0] = self._time_ns != int(times[0])
        places = np.flatnonzero(starts)
        # How many requests begin before each place, and in all.
        begun = np.concatenate([[0], np.cumsum(new)])
        ends = np.append(places[1:], len(times))
        bursts = begun[ends] - begun[places]
        # What comes before the first place belongs to the tick of the batch before.
        self._burst += int(begun[places[0]] if len(places) else begun[-1])
        self.largest_burst = max(self.largest_burst, self._burst, int(bursts.max(initial=0)))
        if len(places):
            self._burst = int(bursts[-1])
        self.n_ticks += len(places)
        before = times[0] if self._time_ns is None else self._time_ns
        self.n_backwards += int(np.count_nonzero(np.diff(times, prepend=before) < 0))
        latest = np.maximum(np.maximum.accumulate(times), self._latest_ns)
        self.furthest_back_ns = max(self.furthest_back_ns, int((latest - times).max()))
        self._latest_ns = int(latest[-1])
        self.first_ns = int(times[0]) if self.first_ns is None else self.first_ns
        self.last_ns = self._time_ns = int(times[-1])
