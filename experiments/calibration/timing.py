"""Calls timed one by one: alone, by so many threads at once, or so many in a GPU's queues."""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from experiments.calibration.ways import Ahead, Step, Way

if TYPE_CHECKING:
    import numpy as np

    from experiments.calibration.places import Buffer


Span = tuple[int, int]
"""When a call began, and when it ended, in ns."""


class Timer:
    """Has a buffer for each thread, of the largest block, so that none is made while the clock runs.

    Calls follow each other at once; with a pace they come in bursts, each that long after the one before was over.
    """

    def __init__(self, largest: int, most_at_once: int, rng: "np.random.Generator", pace_ns: int = 0) -> None:
        from experiments.calibration.places import buffer_of

        self._buffers = [buffer_of(largest) for _ in range(most_at_once)]
        self._rng = rng
        self._pause = partial(time.sleep, pace_ns / 1e9) if pace_ns else None

    def timed(self, way: Way, n_bytes: int, at_once: int, n_calls: int) -> list[int]:
        """Durations in ns of some ``n_calls`` calls, each at a random place.

        ``at_once`` go on all the time, or begin together in each burst. One of each lane goes before, not counted.
        """
        each = max(-(-n_calls // at_once), 1)
        if way.ahead is not None:
            if self._pause is None:
                return self._queued(way.ahead, n_bytes, at_once, each * at_once)
            return self._in_bursts(way.ahead, n_bytes, at_once, each * at_once, self._pause)
        lanes = [_Lane(way.steps, self._buffers[i][:n_bytes], each, self._rng) for i in range(at_once)]
        if at_once == 1:
            lanes[0].warm()
            return [ended - begun for begun, ended in lanes[0].run([], self._pause)]
        return _in_threads(lanes, self._pause)

    def _queued(self, ahead: Ahead, n_bytes: int, at_once: int, n_calls: int) -> list[int]:
        """One thread keeps so many in flight: it waits for the oldest, and begins another in its place."""
        places = _places(self._rng, ahead.n_bytes, n_bytes, n_calls + 2 * at_once)
        calls = ahead.calls(n_bytes, at_once, places)
        found: list[int] = []
        begun: list[int] = []
        clock = time.perf_counter_ns
        for i, call in enumerate(calls):
            if i >= at_once:
                ahead.finish(calls[i - at_once])
                found.append(clock() - begun[i - at_once])
            begun.append(clock())
            ahead.begin(call)
        for call in calls[len(calls) - at_once :]:
            ahead.finish(call)
        # Those that began before all lanes were taken had less beside them.
        return found[at_once:]

    def _in_bursts(
        self, ahead: Ahead, n_bytes: int, at_once: int, n_calls: int, pause: Callable[[], None]
    ) -> list[int]:  # fmt: skip
        """One thread begins so many, waits for each, and pauses; the first burst is not counted."""
        calls = ahead.calls(n_bytes, at_once, _places(self._rng, ahead.n_bytes, n_bytes, n_calls + at_once))
        found: list[int] = []
        clock = time.perf_counter_ns
        for first in range(0, len(calls), at_once):
            burst = calls[first : first + at_once]
            pause()
            begun = []
            for call in burst:
                begun.append(clock())
                ahead.begin(call)
            for call, began in zip(burst, begun, strict=True):
                ahead.finish(call)
                found.append(clock() - began)
        return found[at_once:]


def _places(rng: "np.random.Generator", of: int, n_bytes: int, n: int) -> list[int]:
    found: list[int] = (rng.integers(max(of // n_bytes, 1), size=n) * n_bytes).tolist()
    return found


class _Lane:
    """What one thread does: calls one after another, the places chosen before."""

    def __init__(self, steps: Sequence[Step], buffer: "Buffer", n_calls: int, rng: "np.random.Generator") -> None:
        self._buffer = buffer
        self._acts = [step.place.write_from if step.is_write else step.place.read_into for step in steps]
        at = [_places(rng, step.place.n_bytes, len(buffer), n_calls + 1) for step in steps]
        # One step is called without anything between.
        self._act: Any = self._acts[0] if len(steps) == 1 else self._all
        places: list[Any] = at[0] if len(steps) == 1 else list(zip(*at, strict=True))
        self._first, self._at = places[0], places[1:]

    def _all(self, buffer: "Buffer", places: tuple[int, ...]) -> None:
        for act, place in zip(self._acts, places, strict=True):
            act(buffer, place)

    def warm(self) -> None:
        """A call that is not counted."""
        self._act(self._buffer, self._first)

    def run(self, over: list[int], before: Callable[[], Any] | None = None) -> list[Span]:
        """All calls, with ``before`` ahead of each, or until something stands in ``over``; at least one."""
        spans, buffer, act, clock = list[Span](), self._buffer, self._act, time.perf_counter_ns
        for place in self._at:
            if before is not None:
                before()
            begun = clock()
            act(buffer, place)
            spans.append((begun, clock()))
            if over:
                break
        return spans


def _in_threads(lanes: Sequence[_Lane], pause: Callable[[], None] | None) -> list[int]:
    """Each lane in a thread; the first one that is through ends all, and what ended later had less beside it.

    With a pause each call of a lane waits for those of the others, and they begin together.
    """
    spans: list[list[Span]] = [[] for _ in lanes]
    errors: list[BaseException] = []
    over: list[int] = []
    ready, together = threading.Barrier(len(lanes)), threading.Barrier(len(lanes), pause)

    def go(i: int) -> None:
        try:
            lanes[i].warm()
            ready.wait()
            spans[i] = lanes[i].run(over, None if pause is None else together.wait)
        except threading.BrokenBarrierError:
            # Another one's error, which is told.
            pass
        except BaseException as error:
            errors.append(error)
            ready.abort()
            together.abort()
        finally:
            over.append(i)

    threads = [threading.Thread(target=go, args=(i,), daemon=True) for i in range(len(lanes))]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        over.append(-1)
        ready.abort()
        together.abort()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
    if errors:
        raise errors[0]
    every = [span for mine in spans for span in mine]
    if pause is None:
        began, ended = max(mine[0][0] for mine in spans), min(mine[-1][1] for mine in spans)
        kept = [span for span in every if span[0] >= began and span[1] <= ended]
    else:
        bursts = zip(*spans, strict=True)
        kept = [span for burst in bursts if max(burst)[0] < min(end for _, end in burst) for span in burst]
    # Of very few calls none may have had all others beside it.
    return [end - begin for begin, end in kept or every]
