"""Misses of LRU at many capacities from one reading of a trace, exactly, by stack distances, on one or several threads.

An LRU cache holds as much from the top of the stack as fits in, also where sizes differ: pushing a block in from above
and dropping others from below leaves just that. So an access hits where its block and all that came since fit in
together, whatever was in the cache. Two things are needed for it: a block never changes its size, as one that does is
kept with the size that it came in with, which depends on the capacity; and blocks that are larger than the cache, which
pass it by, are no part of its stack. So a capacity below the largest block has a stack of its own.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np

from simulator.arrays import Ints
from simulator.compiled import released
from workloads.stack_distance import Chunk, Keys, StackDistances

LEAST_CHUNK = 1 << 22
KEYS_A_CHUNK = 8
"""A chunk is so many times as long as there are keys: what comes first in it, which one thread alone looks up, is
little beside it then."""


@released
def _tally(distances: Ints, counts: Ints) -> None:
    for i in range(len(distances)):
        if distances[i] >= 0:
            counts[distances[i]] += 1


class _Counts(Protocol):
    """How many accesses an LRU cache hits, by capacity."""

    def another(self) -> "_Counts": ...

    def add(self, distances: Ints, sizes: Ints) -> None: ...

    def merge(self, other: Any) -> None: ...

    def hits(self, capacity: int) -> int: ...


class InBlocks:
    """Of blocks of one size, at every capacity."""

    def __init__(self) -> None:
        self._counts: Ints = np.zeros(1 << 16, np.int64)

    def another(self) -> "InBlocks":
        """An empty one of the same kind."""
        return InBlocks()

    def add(self, distances: Ints, sizes: Ints) -> None:
        """Count accesses."""
        self._grow(int(distances.max(initial=0)) + 1)
        _tally(distances, self._counts)

    def merge(self, other: "InBlocks") -> None:
        """Count what another has."""
        self._grow(len(other._counts))
        self._counts[: len(other._counts)] += other._counts

    def hits(self, capacity: int) -> int:
        """With so many blocks."""
        return int(self._counts[: max(capacity, 0)].sum())

    def _grow(self, n: int) -> None:
        if n > len(self._counts):
            self._counts = np.concatenate(
                [self._counts, np.zeros(max(n - len(self._counts), len(self._counts)), np.int64)]
            )


class InBytes:
    """Of blocks of any sizes, at some capacities."""

    def __init__(self, capacities: Sequence[int]) -> None:
        self._capacities = np.array(sorted(capacities), np.int64)
        self._counts: Ints = np.zeros(len(capacities) + 1, np.int64)

    def another(self) -> "InBytes":
        """An empty one of the same kind."""
        return InBytes(self._capacities.tolist())

    def add(self, distances: Ints, sizes: Ints) -> None:
        """Count accesses."""
        again = distances >= 0
        least = np.searchsorted(self._capacities, distances[again] + sizes[again])
        self._counts += np.bincount(least, minlength=len(self._counts))

    def merge(self, other: "InBytes") -> None:
        """Count what another has."""
        self._counts += other._counts

    def hits(self, capacity: int) -> int:
        """With one of the capacities."""
        return int(self._counts[: int(np.searchsorted(self._capacities, capacity)) + 1].sum())


class LruStack:
    """Takes a trace in pieces of any length, and counts. Raises ResizedError (``InBytes``) where a size changes.

    With several jobs, chunks of it are gone through on threads side by side, and joined in order: the counts are the
    same. Memory: that of ``StackDistances``, once for the whole and for each chunk at work, and the chunks.
    """

    def __init__(self, counts: InBlocks | InBytes, n_jobs: int = 1, least_chunk: int | None = None) -> None:
        self.n_accesses = self.n_bytes = 0
        """``n_bytes`` are those of the distinct keys."""
        self._counts = counts
        self._by_bytes = isinstance(counts, InBytes)
        self._whole = StackDistances(by_bytes=self._by_bytes)
        self._least_chunk = LEAST_CHUNK if least_chunk is None else least_chunk
        self._n_jobs = n_jobs
        self._threads = ThreadPoolExecutor(n_jobs, "tierfetch-stack") if n_jobs > 1 else None
        self._pieces: list[tuple[Keys, Ints]] = []
        self._n_pending = 0
        self._at_work: list[Future[tuple[Any, Chunk]]] = []

    @property
    def n_keys(self) -> int:
        """Distinct ones so far; with several jobs, once it is finished."""
        return self._whole.n_keys

    def add(self, keys: Keys, sizes: Ints) -> None:
        """The next accesses."""
        self.n_accesses += len(keys)
        if self._threads is None:
            self._count(self._whole.of(keys, sizes), sizes)
            return
        # Copies: these may be parts of what is far larger and would stay in memory with them.
        self._pieces.append((keys.copy(), sizes.copy() if self._by_bytes else sizes[:0]))
        self._n_pending += len(keys)
        if self._n_pending >= max(self._least_chunk, KEYS_A_CHUNK * self._whole.n_keys):
            self._hand_out()

    def finish(self) -> None:
        """All was added. To be called, also after an error: its threads end."""
        if self._threads is None:
            return
        try:
            if self._pieces:
                self._hand_out()
            while self._at_work:
                self._join()
        finally:
            self.close()

    def close(self) -> None:
        """Without counting what is not counted yet."""
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
            self._threads, self._pieces, self._at_work = None, [], []

    def misses(self, capacity: int) -> int:
        """Of LRU, with so many blocks or bytes, once it is finished."""
        return self.n_accesses - self._counts.hits(capacity)

    def _hand_out(self) -> None:
        # One more than can be at work, so that none waits for the next.
        while len(self._at_work) > self._n_jobs:
            self._join()
        assert self._threads is not None
        self._at_work.append(self._threads.submit(_chunk, self._pieces, self._counts.another(), self._by_bytes))
        self._pieces, self._n_pending = [], 0

    def _join(self) -> None:
        counts, chunk = self._at_work.pop(0).result()
        self._counts.merge(counts)
        self._count(self._whole.absorb(chunk), chunk.first_sizes)

    def _count(self, distances: Ints, sizes: Ints) -> None:
        self._counts.add(distances, sizes)
        if self._by_bytes:
            self.n_bytes += int(sizes[distances < 0].sum())


def _chunk(pieces: Iterable[tuple[Keys, Ints]], counts: Any, by_bytes: bool) -> tuple[Any, Chunk]:
    """What a stretch of a trace says by itself, and what has to be looked up before it."""
    here = StackDistances(by_bytes=by_bytes)
    first: list[tuple[Keys, Ints]] = []
    for keys, sizes in pieces:
        distances = here.of(keys, sizes)
        counts.add(distances, sizes)
        is_new = distances < 0
        first.append((keys[is_new], sizes[is_new] if by_bytes else sizes))
    keys, sizes = (np.concatenate(column) for column in zip(*first, strict=True))
    return counts, Chunk(keys, sizes, *here.by_last_access())
