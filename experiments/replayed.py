"""A trace as ``tierfetch misses`` replays it: in memory once for all runs, whole or a spatial sample of it."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from experiments.stacked import lru_misses
from experiments.trace_input import TraceInput, share_of
from simulator.errors import InputError
from simulator.families import Families, families_within
from simulator.trace import COLUMNS, Batch, begins, concatenate, with_features
from simulator.units import parse_bytes
from workloads.base import BATCH
from workloads.sampling import PARTS, are_sampled, sample

FRACTIONS = "0.001,0.01,0.05,0.1,0.25"
CURVE = "0.001,0.0025,0.005,0.01,0.025,0.05,0.1,0.25,0.5"
"""The same and more, so that a curve shows where it bends; with all of the trace they would end in one point."""
_MOST = 2**62


class Replayed:
    """Accesses one after another, of one stream: others would only let some of them overlap.

    ``n_of_trace``, ``n_keys`` and ``n_bytes`` are of the whole trace; of a sample, the latter two are estimates.
    """

    n_streams = 1
    stream_ids: npt.NDArray[np.uint64] | None = None

    def __init__(
        self, batch: Batch, requests: npt.NDArray[np.uint32], n_of_trace: int, parts: int, draw: int = 0
    ) -> None:
        self._batch = _alone(batch)
        self._requests = requests
        self.n_of_trace = n_of_trace
        self.parts = parts
        self.draw = draw
        keys, first = np.unique(batch.key, return_index=True)
        self.n_keys = round(len(keys) * PARTS / parts)
        self.n_bytes = round(int(batch.size_bytes[first].sum(dtype=np.int64)) * PARTS / parts)
        self.largest = int(batch.size_bytes.max())

    def length(self) -> int:
        """How many accesses there are here."""
        return len(self._batch)

    def batches(self) -> Iterator[Batch]:
        """The accesses, from the start."""
        for at in range(0, len(self._batch), BATCH):
            yield self._batch[at : at + BATCH]

    def whole(self) -> Batch:
        """All of them at once."""
        return self._batch

    def sampled(self, parts: int) -> "Replayed":
        """A smaller sample of the same trace. Raises InputError if it is empty."""
        return self if parts == self.parts else self._drawn(parts, self.draw)

    def _drawn(self, parts: int, draw: int) -> "Replayed":
        kept = are_sampled(self._batch.key, parts, draw)
        _expect_some(self._batch[kept], parts)
        return Replayed(self._batch[kept], self._requests[kept], self.n_of_trace, parts, draw)

    def draws(self, parts: int, n: int) -> "list[Replayed]":
        """Samples by as many hashes, of the whole trace. Raises InputError if one is empty."""
        return [self._drawn(parts, draw) for draw in range(n)]

    def lru_misses(self, capacities: list[int], n_jobs: int) -> tuple[dict[int, int], float]:
        """At each capacity; and the seconds that it took. Raises ResizedError where a block changes its size."""
        started = time.perf_counter()
        sizes = self._batch.size_bytes
        found = lru_misses(self.batches(), capacities, int(sizes.min()), int(sizes.max()), n_jobs)
        return found, time.perf_counter() - started

    def save(self, folder: Path) -> None:
        """Write it down, for other processes. Raises OSError where there is no room."""
        folder.mkdir()
        for name in COLUMNS:
            np.save(folder / f"{name}.npy", getattr(self._batch, name))
        np.save(folder / "requests.npy", self._requests)
        np.save(folder / "of_trace.npy", np.array([self.n_of_trace, self.parts, self.draw]))

    @classmethod
    def load(cls, folder: Path) -> "Replayed":
        """What was saved: its columns are mapped, so that processes share the memory."""
        columns: dict[str, Any] = {name: np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r")) for name in COLUMNS}
        requests = np.load(folder / "requests.npy", mmap_mode="r")
        return cls(Batch(**columns), np.asarray(requests), *np.load(folder / "of_trace.npy").tolist())

    def families(self) -> Families:
        """Which block comes before each in its requests, which accesses one after another do not say any more."""
        return families_within(self._batch.key.view(np.int64), np.diff(self._requests, prepend=np.uint32(0)) == 0)


def _alone(batch: Batch) -> Batch:
    return dataclasses.replace(
        batch, stream=np.zeros(len(batch), np.uint32), request=np.arange(len(batch), dtype=np.uint64)
    )


def _requests_of(batch: Batch) -> npt.NDArray[np.uint32]:
    """The number of each access's request, from 1."""
    return np.cumsum(begins(batch, None), dtype=np.uint32)


def _expect_some(batch: Batch, parts: int) -> None:
    if len(batch) == 0:
        raise InputError(f"--sample {parts / PARTS:.3g}: no key of the trace is in the sample; expected a larger rate")


def replayed(given: TraceInput, parts: int, *, unit_size: bool) -> Replayed:
    """Read a trace: some 37 bytes an access that is in the sample stay in memory.

    Raises:
        InputError: it is bad or empty.
    """
    return all_replayed(given, [(parts, 0)], unit_size=unit_size)[0]


def all_replayed(
    given: TraceInput, kept: list[tuple[int, int]], *, unit_size: bool, see: Callable[[Batch], None] | None = None
) -> list[Replayed]:
    """Several samples from one reading, by parts and draw; ``see`` is shown every batch.

    Raises:
        InputError: the trace is bad or empty.
    """
    n = 0
    pieces: list[list[Batch]] = [[] for _ in kept]
    for batch in given.workload.batches():
        n += len(batch)
        if see is not None:
            see(batch)
        plain = with_features(batch, ())
        for (parts, draw), found in zip(kept, pieces, strict=True):
            found.append(sample(plain, parts, draw))
    if n == 0:
        raise InputError(f"{given.name}: holds no access")
    made = []
    for parts, draw in kept:
        whole = concatenate(pieces.pop(0))
        _expect_some(whole, parts)
        if unit_size:
            whole = dataclasses.replace(whole, size_bytes=np.ones(len(whole), np.int64))
        made.append(Replayed(whole, _requests_of(whole), n, parts, draw))
    return made


def sizes_of(capacity: str | None, *, unit_size: bool) -> list[int]:
    """The capacities that the option names. Raises InputError if one is no size."""
    found = []
    for text in capacity.split(",") if capacity is not None else ():
        try:
            found.append(int(text) if text.strip().isdecimal() else parse_bytes(text.strip()))
        except ValueError as error:
            raise InputError(f"--capacity {text}: {error}") from None
        if unit_size and not text.strip().isdecimal():
            raise InputError(f"--capacity {text}: expected a number of blocks with --unit-size")
    return found


class Counted(Protocol):
    """What is known of a trace, or of a sample of it, once it was read: estimates of the whole where it is one."""

    n_of_trace: int
    n_keys: int
    n_bytes: int
    largest: int
    parts: int


def capacities_of(
    traces: Sequence[Counted], capacity: str | None, fraction: str | None, *, unit_size: bool, usual: str = FRACTIONS
) -> list[int]:
    """The capacities that the options name, of the whole trace's tier; else the usual ones that can hold every block.

    ``traces`` are the whole, or samples whose mean stands for it.

    Raises:
        InputError: one is no size or no share.
    """
    found = sizes_of(capacity, unit_size=unit_size)
    by_default = capacity is None and fraction is None
    shares = usual if by_default else fraction
    if shares is not None:
        n_bytes = mean_of([trace.n_bytes for trace in traces])
        found += [int(share_of(text, "--fraction") * n_bytes) for text in shares.split(",")]
        if by_default:
            largest = max(trace.largest for trace in traces)
            found = [size for size in found if size >= largest] or [n_bytes]
    return sorted(set(found))


def mean_of(numbers: Sequence[int]) -> int:
    """To the nearest whole number."""
    return round(sum(numbers) / len(numbers))


def of_sample(trace: Counted, capacity: int, *, unit_size: bool) -> int:
    """The capacity for a sample: its share of the whole. Blocks that are larger pass by, and are missed each time.

    Raises:
        InputError: it is nothing, or larger than can be simulated.
    """
    scaled = round(capacity * trace.parts / PARTS)
    if scaled > 0 and capacity < _MOST:
        return scaled
    where = "this trace" if trace.parts == PARTS else f"a sample of {trace.parts / PARTS:.3g} of this trace"
    raise InputError(
        f"--capacity, --fraction: a capacity of {capacity:,} cannot be simulated with {where}; expected from "
        f"{-(-PARTS // trace.parts):,} to 2**62 {'blocks' if unit_size else 'bytes'}"
    )
