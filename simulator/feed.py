"""The part of the trace that is in memory: loaded ahead of the slowest stream, dropped behind it."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from simulator.arrays import NONE, Ints
from simulator.checks import check_order, check_streams
from simulator.compiled import compiled
from simulator.config import Arrivals, Open, Poisson
from simulator.machine import S_LAST, S_NEXT
from simulator.trace import Batch, concatenate, make_batch

# Columns of the window: a row has all that the loop reads of an access, so that it comes with one cache line.
W_KEY, W_SIZE, W_STREAM, W_REQUEST, W_OP, W_TIME, W_FOLLOWER, W_NEXT_USE = range(8)
WINDOW_FIELDS = 8


@compiled
def _fill(
    window: Ints, first: int, time: Ints, key: Ints, size: npt.NDArray[np.uint32], stream: npt.NDArray[np.uint32],
    request: Ints, op: npt.NDArray[np.uint8], next_use: Ints,
) -> None:  # fmt: skip
    """Write accesses into rows of the window from ``first`` on."""
    for i in range(len(key)):
        row = window[first + i]
        row[W_KEY], row[W_SIZE], row[W_STREAM], row[W_REQUEST] = key[i], size[i], stream[i], request[i]
        row[W_OP], row[W_TIME], row[W_FOLLOWER] = op[i], time[i], NONE
        row[W_NEXT_USE] = next_use[i] if len(next_use) > 0 else 0


@compiled
def _link(window: Ints, first: int, streams: Ints) -> None:
    """Chain the accesses from ``first`` on to the last ones of their streams."""
    for at in range(first, len(window)):
        s = window[at, W_STREAM]
        if streams[s, S_LAST] != NONE:
            window[streams[s, S_LAST], W_FOLLOWER] = at
        if streams[s, S_NEXT] == NONE:
            streams[s, S_NEXT] = at
        streams[s, S_LAST] = at


@compiled
def _moved(window: Ints, n: int, streams: Ints, by: int) -> None:
    """The first ``n`` rows of the window were ``by`` rows further on."""
    for at in range(n):
        if window[at, W_FOLLOWER] != NONE:
            window[at, W_FOLLOWER] -= by
    for s in range(len(streams)):
        if streams[s, S_NEXT] != NONE:
            streams[s, S_NEXT] -= by
        # A last access that was dropped has no place any more; its stream's next one is found by _link.
        streams[s, S_LAST] = max(streams[s, S_LAST] - by, NONE) if streams[s, S_LAST] != NONE else NONE


class Feed:
    """A window over a trace. Local indices are positions in it; ``base`` is the trace index of position 0."""

    def __init__(
        self,
        batches: Iterator[Batch],
        streams: Ints,
        arrivals: Arrivals,
        rng: np.random.Generator,
        first_access: int = 0,
        next_use: Ints | None = None,
    ) -> None:
        """``streams`` are the machine's rows of them, which it is told of again when they move.

        ``first_access`` is where the trace's part begins, for messages; ``next_use`` as in ``simulator.future``.
        """
        self._batches = batches
        self._first = first_access
        self._next_use = next_use
        self._arrivals = arrivals
        self._rng = rng
        self._last_request: tuple[int, int] | None = None
        self._clock = 0.0
        self._last_time = 0
        self._first_time: int | None = None
        self.closed = arrivals.kind == "closed"
        self.streams = streams
        self.base = 0
        self.at_end = False
        self.n_loaded = 0
        # One array of int64 rows: compiled code pays for each array that it is given.
        self.window: Ints = np.empty((0, WINDOW_FIELDS), np.int64)
        self.new = make_batch([])

    def load(self, position: int) -> None:
        """Drop what every stream has passed (in an open loop: what is before ``position``) and append a batch.

        What was appended is ``new``.
        """
        keep_from = position
        if self.closed:
            pending = self.streams[:, S_NEXT][self.streams[:, S_NEXT] != NONE]
            keep_from = int(pending.min()) if len(pending) else len(self.window)
        n_kept = len(self.window) - keep_from
        news: list[Batch] = []
        # As much as is kept: where one stream lags behind or has ended, moving what is kept stays linear in the trace.
        while not news or sum(len(batch) for batch in news) < n_kept:
            more = next(self._batches, None)
            if more is None:
                break
            news.append(more)
        self.new = make_batch([])
        if not news:
            self.at_end = True
            return
        new = concatenate(news)
        check_streams(new, len(self.streams), self._first + self.base + len(self.window))
        self.new = new = self._timed(new)
        first = self.base + len(self.window)
        next_use = np.empty(0, np.int64) if self._next_use is None else self._next_use[first : first + len(new)]
        # A new array, so that the dropped part's memory is really given back.
        window = np.empty((n_kept + len(new), WINDOW_FIELDS), np.int64)
        window[:n_kept] = self.window[keep_from:]
        _fill(
            window, n_kept, new.time_ns, new.key.view(np.int64), new.size_bytes, new.stream, new.request.view(np.int64),
            new.op, next_use,
        )  # fmt: skip
        if self.closed:
            _moved(window, n_kept, self.streams, keep_from)
            _link(window, n_kept, self.streams)
        self.n_loaded += len(new)
        self.base += keep_from
        self.window = window

    def _timed(self, batch: Batch) -> Batch:
        """The batch with arrival times from the arrival process."""
        arrivals, n = self._arrivals, len(batch)
        if isinstance(arrivals, Poisson):
            new = np.ones(n, bool)
            # Streams may number their requests alike.
            new[1:] = (batch.request[1:] != batch.request[:-1]) | (batch.stream[1:] != batch.stream[:-1])
            if n:
                new[0] = self._last_request != (int(batch.stream[0]), int(batch.request[0]))
                self._last_request = int(batch.stream[-1]), int(batch.request[-1])
            gaps = np.zeros(n)
            gaps[new] = self._rng.exponential(arrivals.mean_gap, int(new.sum()))
            gaps[:1] += self._clock
            due = np.cumsum(gaps)
            if n:
                self._clock = float(due[-1])
            times = np.rint(due).astype(np.int64)
        elif isinstance(arrivals, Open):
            if n and self._first_time is None:
                self._first_time = int(batch.time_ns[0])
            # Simulated time starts with the part of the trace that is simulated.
            times = batch.time_ns - (self._first_time or 0)
            if arrivals.speedup != 1:
                times = np.rint(times / arrivals.speedup).astype(np.int64)
            backwards = np.flatnonzero(np.diff(times, prepend=self._last_time) < 0)
            if len(backwards):
                bad = int(backwards[0])
                check_order(self._first + self.n_loaded + bad, times[bad], times[bad - 1] if bad else self._last_time)
            if n:
                self._last_time = int(times[-1])
        else:
            return batch
        return Batch(times, batch.key, batch.size_bytes, batch.stream, batch.request, batch.op)
