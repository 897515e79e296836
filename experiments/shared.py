"""The trace of a seed, written once as plain columns that every process of an experiment maps into its memory."""

import copy
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.aside import discard, naming
from simulator.trace import COLUMNS, Batch, Workload, begins
from workloads.base import SourceSettings

_BATCH = 1 << 16


class HashedWorkload:
    """A workload that hashes the accesses it hands out, so that arms can be shown to have seen the same."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self.n_streams = workload.n_streams
        self._digest = hashlib.sha256()
        self._n_requests = self._n_times = 0

    @property
    def requests_per_time(self) -> float:
        """How many requests share an arrival time, on average, of the whole trace once it was handed out."""
        return self._n_requests / max(self._n_times, 1)

    @property
    def stream_ids(self) -> npt.NDArray[np.uint64] | None:
        """The trace's own number of each stream; None where those are the indices."""
        return self._workload.stream_ids

    def length(self) -> int:
        """How many accesses there are."""
        return self._workload.length()

    def batches(self) -> Iterator[Batch]:
        """The trace, from its start. Who reads a part of it meanwhile changes nothing of what is said of it."""
        digest, n_requests, n_times = hashlib.sha256(), 0, 0
        before, last = None, None
        for batch in self._workload.batches():
            for name in COLUMNS:
                digest.update(np.ascontiguousarray(getattr(batch, name)).data)
            for name, column in sorted(batch.features.items()):
                digest.update(name.encode())
                digest.update(np.ascontiguousarray(column).data)
            if len(batch):
                n_requests += int(begins(batch, before).sum())
                n_times += int(np.count_nonzero(np.diff(batch.time_ns))) + (last != batch.time_ns[0])
                before, last = (int(batch.stream[-1]), int(batch.request[-1])), int(batch.time_ns[-1])
            yield batch
        self._digest, self._n_requests, self._n_times = digest, n_requests, n_times

    @property
    def sha256(self) -> str:
        """Of the whole trace, once it was handed out to its end."""
        return self._digest.hexdigest()


class SharedTrace:
    """A trace in a folder of columns. A process that is handed one maps the files; it decodes and keeps nothing."""

    def __init__(
        self,
        folder: Path,
        n_accesses: int,
        n_streams: int,
        stream_ids: npt.NDArray[np.uint64] | None,
        sha256: str,
        requests_per_time: float,
        features: Sequence[str] = (),
    ) -> None:
        self._folder = folder
        self._n_accesses = n_accesses
        self.n_streams = n_streams
        self.stream_ids = stream_ids
        self.sha256 = sha256
        self.requests_per_time = requests_per_time
        self._features = features
        self._columns: Mapping[str, npt.NDArray[Any]] | None = None

    def length(self) -> int:
        """How many accesses there are."""
        return self._n_accesses

    @property
    def n_bytes(self) -> int:
        """What its files take."""
        of_one: int = sum(np.dtype(dtype).itemsize for dtype in COLUMNS.values())
        return self._n_accesses * (of_one + 8 * len(self._features))

    def remove(self) -> None:
        """Its files go; a process that has mapped them keeps what it has."""
        discard(self._folder)

    def of_columns(self, columns: Mapping[str, npt.NDArray[Any]]) -> "SharedTrace":
        """The same trace, where its columns are in memory and its folder is not."""
        found = copy.copy(self)
        found._columns = columns
        return found

    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """All columns by their names; a feature's is its number."""
        if self._columns is not None:
            return dict(self._columns)
        found = {name: np.load(self._folder / f"{name}.npy", mmap_mode="r") for name in COLUMNS}
        numbers = range(len(self._features))
        return found | {f"{i}": np.load(_of_feature(self._folder, i), mmap_mode="r") for i in numbers}

    def batches(self) -> Iterator[Batch]:
        """The trace, from its start."""
        columns: dict[str, Any] = self.columns()
        extra = {name: columns.pop(f"{i}") for i, name in enumerate(self._features)}
        for first in range(0, self._n_accesses, _BATCH):
            last = first + _BATCH
            features = {name: np.asarray(column[first:last]) for name, column in extra.items()}
            yield Batch(**{name: np.asarray(column[first:last]) for name, column in columns.items()}, features=features)


def _of_feature(folder: Path, number: int) -> Path:
    return folder / f"feature-{number}.npy"


def _mapped(path: Path, dtype: Any, n: int) -> Any:
    """A file of ``n`` numbers, mapped. Its room is taken first: where there is none, writing would kill the process."""
    with naming(path), path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": (n,)}
        )
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, file.tell() + n * np.dtype(dtype).itemsize)
        else:
            file.write(bytes(n * np.dtype(dtype).itemsize))
    return np.load(path, mmap_mode="r+")


def share(workload: Workload, folder: Path) -> SharedTrace:
    """Write a trace down: 37 bytes an access, and 8 for each feature.

    Raises:
        InputError: the trace is bad.
        OSError: there is no room.
    """
    folder.mkdir(parents=True)
    n_accesses, at = workload.length(), 0
    columns: dict[str, Any] = {name: _mapped(folder / f"{name}.npy", d, n_accesses) for name, d in COLUMNS.items()}
    hashed = HashedWorkload(workload)
    extra: dict[str, Any] = {}
    for batch in hashed.batches():
        if at == 0:
            extra = {
                name: _mapped(_of_feature(folder, i), np.uint64, n_accesses) for i, name in enumerate(batch.features)
            }
        for name, column in columns.items():
            column[at : at + len(batch)] = getattr(batch, name)
        for name, column in extra.items():
            column[at : at + len(batch)] = batch.features[name]
        at += len(batch)
    for column in (*columns.values(), *extra.values()):
        column.flush()
    of_all = workload.n_streams, workload.stream_ids, hashed.sha256, hashed.requests_per_time
    return SharedTrace(folder, n_accesses, *of_all, features=list(extra))


def share_all(source: SourceSettings, seeds: Sequence[int], folder: Path, n_at_once: int = 1) -> dict[int, SharedTrace]:
    """The trace of each seed, written once where it is the same for all. Raises InputError if it is bad."""
    if not source.depends_on_seed:
        return dict.fromkeys(seeds, share(source.build(seeds[0]), folder / "all"))
    # Threads will do: making and hashing columns leaves Python to others.
    with ThreadPoolExecutor(n_at_once) as threads:
        made = threads.map(lambda seed: share(source.build(seed), folder / str(seed)), seeds)
        return dict(zip(seeds, made, strict=True))
