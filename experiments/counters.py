"""Misses counted one after another, or in processes side by side; they come in order."""

import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, NamedTuple

from experiments.counting import Count, Traces, count_of, counts_of, error_of, row_of
from experiments.exits import RunsDiedError
from experiments.forking import start
from experiments.interrupts import Interrupts
from experiments.replayed import Replayed, of_sample
from simulator.errors import InputError, OutsideError
from simulator.residency.settings import EvictionSettings

Row = dict[str, Any]


class _Task(NamedTuple):
    """A run through the engine: its number, which sample, whose eviction, at which capacity of the sample."""

    number: int
    trace: int
    eviction: EvictionSettings
    capacity: int
    seed: int


def rows_of(
    name: str,
    traces: Traces,
    evictions: list[EvictionSettings],
    capacities: list[int],
    *,
    unit_size: bool,
    seed: int,
    n_jobs: int = 1,
) -> Iterator[Row]:
    """A row for each rate, eviction and capacity, as it is there.

    Raises:
        RunsDiedError: a process ended without a count.
    """
    drawn = [trace for draws in traces.by_rate for trace in draws]
    by_engine = [one for one in evictions if one.kind != "lru"]
    tasks: dict[tuple[int, str], list[_Task]] = {}
    for i, one in product(range(len(drawn)), by_engine):
        scaled = [of_sample(drawn[i], size, unit_size=unit_size) for size in capacities]
        first = len(tasks) * len(capacities)
        tasks[i, one.label] = [_Task(first + j, i, one, size, seed) for j, size in enumerate(scaled)]
    rows: list[Row] = []
    with _Counters(drawn, [task for some in tasks.values() for task in some], n_jobs) as counters:
        at = 0
        for draws in traces.by_rate:
            for one in evictions:
                # Of each draw the counts by capacity.
                counted = [
                    counters.of(tasks[at + i, one.label])
                    if counters.n_jobs > 1 and one.kind != "lru"
                    else counts_of(draw, one, capacities, unit_size=unit_size, seed=seed, n_jobs=n_jobs)
                    for i, draw in enumerate(draws)
                ]
                for size, counts in zip(capacities, zip(*counted, strict=True), strict=True):
                    row = row_of(name, draws, one, size, list(counts), unit_size=unit_size)
                    row["miss_ratio_error"] = error_of(row, rows)
                    rows.append(row)
                    yield row
            at += len(draws)


class _Counters:
    """Processes that count; as a context manager it ends them."""

    def __init__(self, traces: list[Any], tasks: list[_Task], n_jobs: int) -> None:
        self._traces, self._waiting = traces, deque(tasks)
        self.n_jobs = min(n_jobs, len(tasks))
        """Of 1 none is started: who asks may count as well."""
        self._done: dict[int, Count] = {}
        self._busy: dict[Any, tuple[Any, _Task]] = {}

    def __enter__(self) -> "_Counters":
        self._interrupts = Interrupts()
        self._folder = tempfile.TemporaryDirectory(prefix="tierfetch-misses-")
        if self.n_jobs > 1:
            for i, trace in enumerate(self._traces):
                if isinstance(trace, Replayed):
                    trace.save(Path(self._folder.name) / str(i))
            for _ in range(self.n_jobs):
                process, pipe = start(_serve, (self._folder.name,), ["experiments.counters"])
                self._begin(process, pipe)
        return self

    def __exit__(self, *_: object) -> None:
        for process, _task in self._busy.values():
            process.kill()
            process.join()
        self._folder.cleanup()
        self._interrupts.close()

    def of(self, tasks: list[_Task]) -> Iterator[Count]:
        """What they found, in this order."""
        for task in tasks:
            while task.number not in self._done:
                self._interrupts.check()
                for pipe in wait(list(self._busy), 1.0):
                    self._take(pipe)
            yield self._done.pop(task.number)

    def _begin(self, process: Any, pipe: Any) -> None:
        if self._waiting:
            task = self._waiting.popleft()
            self._busy[pipe] = process, task
            with suppress(OSError):
                pipe.send(task)
        else:
            process.kill()
            process.join()

    def _take(self, pipe: Any) -> None:
        process, task = self._busy.pop(pipe)
        try:
            found = pipe.recv()
        except (EOFError, OSError):
            process.join()
            raise RunsDiedError(
                f"{task.eviction.label}, capacity {task.capacity:,}: its process died (exit code {process.exitcode}), "
                "perhaps for lack of memory; expected fewer --jobs"
            ) from None
        self._begin(process, pipe)
        if isinstance(found, Exception):
            raise found
        self._done[task.number] = found


def _serve(pipe: Connection, folder: str) -> None:
    """What a process does: counts, until nobody asks."""
    traces: dict[int, Replayed] = {}
    with suppress(EOFError, BrokenPipeError):
        while True:
            task: _Task = pipe.recv()
            if task.trace not in traces:
                # They come by trace: the one before is not needed any more.
                traces = {task.trace: Replayed.load(Path(folder) / str(task.trace))}
            try:
                pipe.send(count_of(traces[task.trace], task.eviction, task.capacity, task.seed))
            except (InputError, OutsideError) as error:
                pipe.send(error)
