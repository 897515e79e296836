"""What is in a trace: how many keys, how often they come again, what follows what, reads and writes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.trace import MOST_BYTES, WRITE, Batch, concatenate, with_features
from workloads.clock import Clock
from workloads.sampling import PARTS, sample
from workloads.sizes import Ranges
from workloads.stack_distance import StackDistances

_MOST_DELTAS = 1 << 22
_MERGE_EVERY = 1 << 20
_TOP_DELTAS = 20
_BITS = 64
Ints = npt.NDArray[np.int64]


class Counts:
    """How often each value came; those that come first after ``most`` different ones are counted together."""

    def __init__(self, most: int = _MOST_DELTAS) -> None:
        self._most = most
        self._values: Ints = np.empty(0, np.int64)
        self._counts: Ints = np.empty(0, np.int64)
        self._pending: list[Ints] = []
        self._n_pending = 0
        self._n_others = 0

    def add(self, values: Ints) -> None:
        """Count values."""
        self._pending.append(values)
        self._n_pending += len(values)
        if self._n_pending >= _MERGE_EVERY:
            self._merge()

    def _merge(self) -> None:
        new, n_new = np.unique(np.concatenate(self._pending), return_counts=True)
        self._pending, self._n_pending = [], 0
        at = np.searchsorted(self._values, new)
        known = np.zeros(len(new), bool)
        inside = at < len(self._values)
        known[inside] = self._values[at[inside]] == new[inside]
        self._counts[at[known]] += n_new[known]
        new, n_new = new[~known], n_new[~known]
        room = self._most - len(self._values)
        self._n_others += int(n_new[room:].sum())
        values = np.concatenate([self._values, new[:room]])
        order = np.argsort(values, kind="stable")
        self._values = values[order]
        self._counts = np.concatenate([self._counts, n_new[:room]])[order]

    def entropy_bits(self) -> tuple[float, bool]:
        """(Entropy of the values in bits, whether it is exact: else it is at least that)."""
        self._finish()
        counts = self._counts.astype(float)
        if self._n_others:
            counts = np.append(counts, self._n_others)
        if not counts.sum():
            return 0.0, True
        shares = counts / counts.sum()
        return float(-(shares * np.log2(shares)).sum()) + 0.0, self._n_others == 0

    def top(self, n: int) -> list[tuple[int, int]]:
        """The most frequent values with their counts, the smaller value first where they are even."""
        self._finish()
        order = np.lexsort((self._values, -self._counts))[:n]
        return list(zip(self._values[order].tolist(), self._counts[order].tolist(), strict=True))

    @property
    def n(self) -> int:
        """How many were counted."""
        self._finish()
        return int(self._counts.sum()) + self._n_others

    def _finish(self) -> None:
        if self._pending:
            self._merge()


class Deltas:
    """Differences (int64, wrapping) of each key and the one before it in the same stream."""

    def __init__(self) -> None:
        self.counts = Counts()
        self._last: dict[int, int] = {}

    def add(self, batch: Batch) -> None:
        """Count those of the next accesses."""
        order = np.argsort(batch.stream, kind="stable")
        keys, streams = batch.key[order], batch.stream[order]
        first = np.flatnonzero(np.diff(streams, prepend=-1))
        signed = keys.view(np.int64)
        deltas = np.zeros(len(keys), np.int64)
        deltas[1:] = signed[1:] - signed[:-1]
        has_one = np.ones(len(keys), bool)
        for at, end in zip(first.tolist(), [*first[1:].tolist(), len(keys)], strict=True):
            before = self._last.get(int(streams[at]))
            has_one[at] = before is not None
            if before is not None:
                deltas[at] = (keys[at : at + 1] - np.uint64(before)).view(np.int64)[0]
            self._last[int(streams[at])] = int(keys[end - 1])
        self.counts.add(deltas[has_one])


@dataclass
class _Totals:
    n_accesses: int = 0
    n_writes: int = 0
    n_bytes: int = 0
    n_streams: int = 1
    smallest: int = MOST_BYTES
    largest: int = 0
    n_sampled: int = 0
    unique_bytes: int = 0


class TraceStatistics:
    """Takes a trace batch by batch. Memory grows with the distinct keys that are sampled, not with the trace.

    Keys are told apart in a sample of ``parts`` of ``sampling.PARTS``, and what is said of them is scaled to the whole.
    """

    def __init__(self, window: int, parts: int = PARTS) -> None:
        self._window = window
        self._parts = parts
        self._totals = _Totals()
        self._deltas = Deltas()
        self._distances = StackDistances()
        # By the number of binary digits of the distance; and those of keys that came for the first time.
        self._reuse = np.zeros(_BITS, np.int64)
        self._rows: list[dict[str, Any]] = []
        # Of the window that is not closed yet: what is sampled of it, and the distances; and the writes before it.
        self._open: list[tuple[Batch, Ints]] = []
        self._times = 0, 0
        self._n_writes_before = 0
        self._clock = Clock()
        self._sizes = Ranges()

    def add(self, batch: Batch) -> None:
        """The next accesses."""
        at = 0
        while at < len(batch):
            n = self._window - self._totals.n_accesses % self._window
            self._add(batch[at : at + n])
            at += n

    def _add(self, batch: Batch) -> None:
        t = self._totals
        t.n_accesses += len(batch)
        t.n_writes += int((batch.op == WRITE).sum())
        t.n_bytes += int(batch.size_bytes.sum(dtype=np.int64))
        t.n_streams = max(t.n_streams, int(batch.stream.max()) + 1)
        t.smallest = min(t.smallest, int(batch.size_bytes.min()))
        t.largest = max(t.largest, int(batch.size_bytes.max()))
        self._clock.add(batch)
        self._deltas.add(batch)
        sampled = sample(with_features(batch, ()), self._parts)
        if len(sampled):
            self._sizes.add(sampled)
        distances = self._distances.of(sampled.key)
        t.n_sampled += len(sampled)
        t.unique_bytes += int(sampled.size_bytes[distances < 0].sum(dtype=np.int64))
        # Binary digits: exact below 2**53, and no distance is larger.
        digits = np.frexp(np.rint(distances[distances >= 0] * (PARTS / self._parts)))[1]
        self._reuse += np.bincount(digits, minlength=_BITS)
        first = self._times[0] if self._open else int(batch.time_ns[0])
        self._times = first, int(batch.time_ns[-1])
        self._open.append((sampled, distances))
        if t.n_accesses % self._window == 0:
            self._close_window()

    def _close_window(self) -> None:
        if not self._open:
            return
        t, first_access = self._totals, len(self._rows) * self._window
        sampled = concatenate([sampled for sampled, _ in self._open])
        distances = np.concatenate([distances for _, distances in self._open])
        self._open = []
        _, first = np.unique(sampled.key, return_index=True)
        self._rows.append(
            {
                "window": len(self._rows),
                "first_access": first_access,
                "n_accesses": t.n_accesses - first_access,
                "n_writes": t.n_writes - self._n_writes_before,
                "n_keys": self._scaled(len(first)),
                "working_set_bytes": self._scaled(int(sampled.size_bytes[first].sum(dtype=np.int64))),
                "n_new_keys": self._scaled(int((distances < 0).sum())),
                "n_keys_so_far": self._scaled(self._distances.n_keys),
                "first_time_ns": self._times[0],
                "last_time_ns": self._times[1],
            }
        )
        self._n_writes_before = t.n_writes

    def _scaled(self, n: int) -> int:
        return round(n * PARTS / self._parts)

    def summary(self) -> dict[str, Any]:
        """One row: counts, sizes, times, and entropy."""
        t, clock = self._totals, self._clock
        entropy, is_exact = self._deltas.counts.entropy_bits()
        return {
            "n_accesses": t.n_accesses,
            "n_reads": t.n_accesses - t.n_writes,
            "n_writes": t.n_writes,
            "n_requests": clock.n_requests,
            "n_streams": t.n_streams,
            "n_keys": self._scaled(self._distances.n_keys),
            "n_bytes": t.n_bytes,
            "unique_bytes": self._scaled(t.unique_bytes),
            "smallest_bytes": t.smallest,
            "largest_bytes": t.largest,
            "n_times": clock.n_ticks,
            "largest_burst": clock.largest_burst,
            "n_backwards": clock.n_backwards,
            "furthest_back_ns": clock.furthest_back_ns,
            "duration_ns": clock.span_ns,
            "n_resized": self._scaled(self._sizes.sizes().n_resized) if t.n_sampled else 0,
            "delta_entropy_bits": entropy,
            "delta_entropy_is_exact": is_exact,
            "sample_rate": self._parts / PARTS,
        }

    def working_set(self) -> list[dict[str, Any]]:
        """A row a window of accesses: distinct keys and their bytes, those never seen before."""
        self._close_window()
        return self._rows

    def reuse(self) -> list[dict[str, Any]]:
        """The histogram of stack distances, in blocks: 0, 1, 2 to 3, 4 to 7, and so on; last, keys for the first time.

        An LRU cache of ``distance_to`` + 1 blocks hits the accesses of all rows up to that one.
        """
        counts = self._reuse.copy()
        n_all, n_sampled = self._totals.n_accesses, self._totals.n_sampled
        n_first = n_sampled - int(counts.sum())
        # SHARDS' correction: what the sample has more or less than its share are accesses to the most used keys.
        share = round(n_all * self._parts / PARTS)
        counts[0] = max(int(counts[0]) + share - n_sampled, 0)
        n = max(int(counts.sum()) + n_first, 1)
        rows: list[dict[str, Any]] = []
        for digits in range(int(np.flatnonzero(counts)[-1]) + 1 if counts.any() else 0):
            hits = int(counts[: digits + 1].sum()) / n
            rows.append(_reuse_row(1 << digits >> 1, (1 << digits) - 1, counts[digits] / n, n_all, hits))
        rows.append(_reuse_row(None, None, n_first / n, n_all, None))
        return rows

    def deltas(self) -> list[dict[str, Any]]:
        """The most frequent deltas between accesses of a stream, with the share of all deltas that each is."""
        n = max(self._deltas.counts.n, 1)
        return [
            {"delta": delta, "n_accesses": count, "ratio": count / n}
            for delta, count in self._deltas.counts.top(_TOP_DELTAS)
        ]


def _reuse_row(low: int | None, high: int | None, ratio: float, n_all: int, hits: float | None) -> dict[str, Any]:
    return {
        "distance_from": low,
        "distance_to": high,
        "n_accesses": round(ratio * n_all),
        "ratio": float(ratio),
        "lru_hit_ratio": hits,
    }


def statistics_of(batches: Iterator[Batch], window: int, parts: int = PARTS) -> TraceStatistics:
    """Of a whole trace."""
    found = TraceStatistics(window, parts)
    for batch in batches:
        found.add(batch)
    return found
