"""The part of the trace that is in memory: loaded ahead of the slowest stream, dropped behind it."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from simulator.arrays import NONE, Ints
from simulator.compiled import compiled
from simulator.config import Arrivals, Open, Poisson
from simulator.errors import InputError
from simulator.machine import S_LAST, S_NEXT
from simulator.trace import Batch, concatenate, make_batch

# Columns of the window: a row has all that the loop reads of an access, so that it comes with one cache line.
W_KEY, W_SIZE, W_STREAM, W_REQUEST, W_OP, W_TIME, W_FOLLOWER, W_NEXT_USE = range(8)
WINDOW_FIELDS = 8


@compiled
def _link(stream: npt.NDArray[np.uint32], first: int, follower: Ints, streams: Ints) -> None:
    """Chain the accesses from ``first`` on to the last ones of their streams."""
    for at in range(first, len(stream)):
        s = stream[at]
        if streams[s, S_LAST] != NONE:
            follower[streams[s, S_LAST]] = at
        if streams[s, S_NEXT] == NONE:
            streams[s, S_NEXT] = at
        streams[s, S_LAST] = at


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
        self._last_request: int | None = None
        self._clock = 0.0
        self._last_time = 0
        self._first_time: int | None = None
        self.closed = arrivals.kind == "closed"
        self.streams = streams
        self.base = 0
        self.at_end = False
        self.n_loaded = 0
        self._take(make_batch([]), np.empty(0, np.int64))

    def _take(self, batch: Batch, follower: Ints) -> None:
        self.batch = batch
        self.follower = follower
        next_use = np.zeros(len(batch), np.int64)
        if self._next_use is not None:
            next_use = self._next_use[self.base : self.base + len(batch)]
        # One array of int64 rows: a compiled call pays for each array that it is given.
        self.window = np.stack(
            [
                batch.key.view(np.int64), batch.size_bytes, batch.stream, batch.request.view(np.int64), batch.op,
                batch.time_ns, follower, next_use,
            ],
            axis=1,
        )  # fmt: skip

    def load(self, position: int) -> None:
        """Drop what every stream has passed (in an open loop: what is before ``position``) and append a batch."""
        news: list[Batch] = []
        # As much as is kept: where one stream lags behind or has ended, moving what is kept stays linear in the trace.
        while not news or sum(len(batch) for batch in news) < len(self.batch) - position:
            more = next(self._batches, None)
            if more is None:
                break
            news.append(more)
        if not news:
            self.at_end = True
            return
        new = concatenate(news) if len(news) > 1 else news[0]
        if len(new) and int(new.stream.max()) >= len(self.streams):
            raise InputError(
                f"trace: stream {int(new.stream.max())} at access {self._first + self.base + len(self.batch)} or later"
                f", but the workload declares {len(self.streams)} streams"
            )
        new = self._timed(new)
        self.n_loaded += len(new)
        keep_from = position
        if self.closed:
            pending = self.streams[:, S_NEXT][self.streams[:, S_NEXT] != NONE]
            keep_from = int(pending.min()) if len(pending) else len(self.batch)
        n_kept = len(self.batch) - keep_from
        # A batch with columns of its own, so that the dropped part's memory is really given back.
        batch = concatenate([self.batch[keep_from:], new]) if n_kept else new
        follower = np.full(len(batch), NONE, np.int64)
        if self.closed:
            follower[:n_kept] = self.follower[keep_from:]
            follower[:n_kept][follower[:n_kept] != NONE] -= keep_from
            for row in (S_NEXT, S_LAST):
                held = self.streams[:, row] != NONE
                self.streams[held, row] -= keep_from
            # A last access that was dropped has no place any more; its stream's next one is found by _link.
            self.streams[self.streams[:, S_LAST] < 0, S_LAST] = NONE
            _link(batch.stream, n_kept, follower, self.streams)
        self.base += keep_from
        self._take(batch, follower)

    def _timed(self, batch: Batch) -> Batch:
        """The batch with arrival times from the arrival process."""
        arrivals, n = self._arrivals, len(batch)
        if isinstance(arrivals, Poisson):
            new = np.ones(n, bool)
            new[1:] = batch.request[1:] != batch.request[:-1]
            if n:
                new[0] = self._last_request != int(batch.request[0])
                self._last_request = int(batch.request[-1])
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
                bad = self._first + self.n_loaded + int(backwards[0])
                raise InputError(
                    f"trace: the arrival time goes backwards at access {bad}; "
                    "open arrivals need times in order (use arrivals: {kind: closed})"
                )
            if n:
                self._last_time = int(times[-1])
        else:
            return batch
        return Batch(times, batch.key, batch.size_bytes, batch.stream, batch.request, batch.op)
