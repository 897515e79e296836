"""Calls timed one by one: alone, by so many threads at once, or so many in a GPU's queues."""

import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from experiments.calibration.ways import Step, Way

if TYPE_CHECKING:
    import numpy as np

    from experiments.calibration.places import Buffer


Span = tuple[int, int]
"""When a call began, and when it ended, in ns."""


class Timer:
    """Has a buffer for each thread, of the largest block, so that none is made while the clock runs."""

    def __init__(self, largest: int, most_at_once: int, rng: "np.random.Generator") -> None:
        from experiments.calibration.places import buffer_of

        self._buffers = [buffer_of(largest) for _ in range(most_at_once)]
        self._rng = rng

    def timed(self, way: Way, n_bytes: int, at_once: int, n_calls: int) -> list[int]:
        """Durations in ns of some ``n_calls`` calls, each at a random place, with ``at_once`` going on all the time.

        A call of each lane goes before, and is not counted.
        """
        each = max(-(-n_calls // at_once), 1)
        if way.ahead is not None:
            return self._queued(way, n_bytes, at_once, each * at_once)
        lanes = [_Lane(way.steps, self._buffers[i][:n_bytes], each, self._rng) for i in range(at_once)]
        if at_once == 1:
            lanes[0].warm()
            return [ended - begun for begun, ended in lanes[0].run([])]
        return _in_threads(lanes)

    def _queued(self, way: Way, n_bytes: int, at_once: int, n_calls: int) -> list[int]:
        """One thread keeps so many in flight: it waits for the oldest, and begins another in its place."""
        ahead = way.ahead
        assert ahead is not None
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

    def run(self, over: list[int]) -> list[Span]:
        """All calls, or until something stands in ``over``; at least one."""
        spans, buffer, act, clock = list[Span](), self._buffer, self._act, time.perf_counter_ns
        for place in self._at:
            begun = clock()
            act(buffer, place)
            spans.append((begun, clock()))
            if over:
                break
        return spans


def _in_threads(lanes: Sequence[_Lane]) -> list[int]:
    """Each lane in a thread; the first one that is through ends all, and what ended later had less beside it."""
    spans: list[list[Span]] = [[] for _ in lanes]
    errors: list[BaseException] = []
    over: list[int] = []
    ready = threading.Barrier(len(lanes))

    def go(i: int) -> None:
        try:
            lanes[i].warm()
            ready.wait()
            spans[i] = lanes[i].run(over)
        except threading.BrokenBarrierError:
            # Another one's error, which is told.
            pass
        except BaseException as error:
            errors.append(error)
            ready.abort()
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
        for thread in threads:
            if thread.ident is not None:
                thread.join()
    if errors:
        raise errors[0]
    began, ended = max(mine[0][0] for mine in spans), min(mine[-1][1] for mine in spans)
    every = [span for mine in spans for span in mine]
    kept = [span for span in every if span[0] >= began and span[1] <= ended]
    # Of very few calls none may have had all others beside it.
    return [end - begin for begin, end in kept or every]
