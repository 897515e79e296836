"""The part of the trace that is in memory: loaded ahead of the slowest stream, dropped behind it."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

import numpy as np

from simulator import window
from simulator.arrays import NONE, Ints
from simulator.checks import check_arrivals, check_order, check_streams, check_whole, decode_times
from simulator.compiled import address_of
from simulator.config import Arrivals, Open, Poisson
from simulator.needs import ToShow, features_among
from simulator.records import checked
from simulator.records.rows import TraceRow
from simulator.requests import Requests
from simulator.state import Machine
from simulator.trace import Batch, begins, concatenate, make_batch, with_features


class Feed:
    """A window over a trace. Local indices are positions in it; ``base`` is the trace index of position 0."""

    def __init__(
        self,
        batches: Iterator[Batch],
        machine: Machine,
        arrivals: Arrivals,
        rng: np.random.Generator,
        first_access: int = 0,
        next_use: Ints | None = None,
        to_show: ToShow | None = None,
        requests: Requests | None = None,
    ) -> None:
        """``machine`` has the streams.

        ``first_access`` is where the trace's part begins, for messages; ``next_use`` as in ``simulator.future``.
        ``to_show`` takes what is to be shown of what is loaded; without it features are left where they are, but for
        what ``requests`` read of answers.

        Raises:
            InputError: the trace lacks a feature that is to be shown.
        """
        names = list(features_among(to_show.names)) if to_show is not None else []
        names += [requests.answer] if requests is not None else []
        self._requests = requests
        self._last_of: dict[int, int] = {}
        self._before: tuple[int, int] | None = None
        if to_show is not None and (first := next(batches, None)) is not None:
            # What is missing is found out now, not when the run has begun.
            to_show.check(first)
            batches = chain([first], batches)
        self._batches = (with_features(batch, names) for batch in batches)
        self._to_show = to_show
        self._first = first_access
        self._next_use = next_use
        self._arrivals = arrivals
        self._rng = rng
        self._last_request: tuple[int, int] | None = None
        self._clock = 0.0
        self._last_time = 0
        self._first_time: int | None = None
        self.closed = arrivals.kind == "closed"
        self._machine = machine
        self.base = 0
        self.at_end = False
        self.n_loaded = 0
        self.length = 0
        # One array of rows: compiled code pays for each array that it is given.
        self.window: Ints = np.empty(0, np.int64)
        self.new = make_batch([])

    def load(self, position: int) -> int:
        """Drop what every stream has passed (in an open loop: what is before ``position``) and append a batch.

        What was appended is ``new``. Returns how many rows were dropped.
        """
        keep_from = position
        if self.closed:
            places = self._machine.streams["next"][:-1]
            keep_from = int(places.min(initial=self.length, where=places != NONE))
        if self._requests is not None:
            places = self._machine.lives["issuer"]["next"]
            keep_from = int(places.min(initial=keep_from, where=places != NONE))
        n_kept = self.length - keep_from
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
            return 0
        new = concatenate(news)
        first = self.base + self.length
        check_streams(new, self._machine.run.n_streams, self._first + first)
        self.new = new = self._timed(new)
        answers = self._answers(new, self._first + first)
        if self._to_show is not None:
            self._to_show.add(new)
        next_use = np.empty(0, np.int64) if self._next_use is None else self._next_use[first : first + len(new)]
        # A new array, so that the dropped part's memory is really given back.
        length, words = n_kept + len(new), TraceRow.words
        rows = np.empty(length * words, np.int64)
        rows[: n_kept * words] = self.window[keep_from * words :]
        checked.declare(rows, TraceRow, 0, length)
        window.fill(
            address_of(rows), n_kept, new.time_ns, new.key.view(np.int64), new.size_bytes, new.stream,
            new.request.view(np.int64), new.op, next_use, answers,
        )  # fmt: skip
        if self.closed:
            window.move_up(address_of(rows), n_kept, self._machine.address, keep_from)
            window.link(address_of(rows), n_kept, length, self._machine.address)
        if self._requests is not None:
            lives = self._machine.lives
            for place in (lives["issuer"]["next"], lives["prompt_end"], lives["end"]):
                np.subtract(place, keep_from, out=place, where=lives["issuer"]["next"] != NONE)
        self.n_loaded += len(new)
        self.base += keep_from
        self.window, self.length = rows, length
        return keep_from

    def _answers(self, batch: Batch, first: int) -> Ints:
        """What answers take (``RequestRow``); nothing where requests have no life."""
        if self._requests is None:
            return np.empty(0, np.int64)
        check_whole(batch, self._last_of, self._before, first)
        if len(batch):
            self._before = int(batch.stream[-1]), int(batch.request[-1])
        return decode_times(self._requests, batch, first)

    def _timed(self, batch: Batch) -> Batch:
        """The batch with arrival times from the arrival process."""
        arrivals, n = self._arrivals, len(batch)
        if isinstance(arrivals, Poisson):
            new = begins(batch, self._last_request)
            if n:
                self._last_request = int(batch.stream[-1]), int(batch.request[-1])
            gaps = np.zeros(n)
            gaps[new] = self._rng.exponential(arrivals.mean_gap, int(new.sum()))
            gaps[:1] += self._clock
            due = np.cumsum(gaps)
            if n:
                self._clock = float(due[-1])
            check_arrivals(due, self._first + self.n_loaded)
            times = np.rint(due).astype(np.int64)
        elif isinstance(arrivals, Open):
            if n and self._first_time is None:
                self._first_time = int(batch.time_ns[0])
            # Simulated time starts with the part of the trace that is simulated.
            since_ns = batch.time_ns.astype(np.float64) - (self._first_time or 0)
            check_arrivals(since_ns / arrivals.speedup, self._first + self.n_loaded)
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
        return replace(batch, time_ns=times)
