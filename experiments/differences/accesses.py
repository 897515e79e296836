"""Accesses of two runs over one trace: which ended otherwise, and by how much, in memory that does not grow."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from experiments.results import check_columns, read_with
from simulator.policy import Outcome

OUTCOMES = [outcome.name.lower() for outcome in Outcome]
_COLUMNS = ["access", "key", "outcome", "latency_ns"]
Ints = npt.NDArray[np.int64]


class Rows(NamedTuple):
    """Some accesses, by their numbers; outcomes by theirs."""

    access: Ints
    key: npt.NDArray[np.uint64]
    outcome: Ints
    latency_ns: Ints

    def of(self, chosen: Any) -> "Rows":
        """Some of these."""
        return Rows(*(column[chosen] for column in self))


class Change(NamedTuple):
    """What became of one access in the one run and in the other."""

    seed: int
    repeat: int
    access: int
    key: int
    outcome_a: str
    outcome_b: str
    latency_a_ns: int
    latency_b_ns: int


class Changes:
    """Counts of accesses by what became of them in both, and those whose latency changed most."""

    def __init__(self, n_most: int) -> None:
        self._n_most = n_most
        n = len(OUTCOMES)
        self.n_of: Ints = np.zeros((n, n), np.int64)
        """By the outcome in A and in B."""
        self.latency_ns: Ints = np.zeros((n, n), np.int64)
        """The sum of what the latencies of these are longer in B."""
        self.n_only_a = self.n_only_b = 0
        """Which the other one kept no row of."""
        self.n_moved = 0
        """Whose latency is another one, whatever the outcome."""
        self.most: list[Change] = []

    def add(self, seed: int, repeat: int, a: Path, b: Path) -> None:
        """The accesses of two runs over one trace, from their files. Raises InputError if one is damaged."""
        for of_a, of_b in _both(pieces(a), pieces(b)):
            _, at_a, at_b = np.intersect1d(of_a.access, of_b.access, assume_unique=True, return_indices=True)
            self.n_only_a += len(of_a.access) - len(at_a)
            self.n_only_b += len(of_b.access) - len(at_b)
            self._count(seed, repeat, of_a.of(at_a), of_b.of(at_b))

    def _count(self, seed: int, repeat: int, a: Rows, b: Rows) -> None:
        change = b.latency_ns - a.latency_ns
        np.add.at(self.n_of, (a.outcome, b.outcome), 1)
        np.add.at(self.latency_ns, (a.outcome, b.outcome), change)
        moved = np.flatnonzero(change)
        self.n_moved += len(moved)
        size = np.abs(change[moved])
        if 0 < self._n_most < len(moved):
            # What cannot be among them goes before anything is sorted; ties stay.
            moved = moved[size >= np.partition(size, len(size) - self._n_most)[-self._n_most]]
        moved = moved[np.argsort(-np.abs(change[moved]), kind="stable")][: self._n_most]
        self.most += [
            Change(seed, repeat, int(a.access[i]), int(a.key[i]), OUTCOMES[a.outcome[i]], OUTCOMES[b.outcome[i]],
                   int(a.latency_ns[i]), int(b.latency_ns[i]))
            for i in moved
        ]  # fmt: skip
        self.most.sort(key=lambda one: (-abs(one.latency_b_ns - one.latency_a_ns), one.seed, one.repeat, one.access))
        del self.most[self._n_most :]

    @property
    def n(self) -> int:
        """Accesses that both kept."""
        return int(self.n_of.sum())

    @property
    def n_same(self) -> int:
        """Those that came out the same."""
        return int(np.trace(self.n_of))

    def pairs(self) -> list[dict[str, Any]]:
        """Outcomes that there are in both, the most frequent change first; then what stayed."""
        found = [
            {"a": a, "b": b, "n": int(self.n_of[i, j]), "latency_difference_ns": int(self.latency_ns[i, j])}
            for i, a in enumerate(OUTCOMES)
            for j, b in enumerate(OUTCOMES)
            if self.n_of[i, j]
        ]
        return sorted(found, key=lambda pair: (pair["a"] == pair["b"], -int(str(pair["n"]))))


def pieces(path: Path) -> Iterator[Rows]:
    """The accesses of a file in the order of their numbers, some at a time.

    They lie there as they were over, which is nearly that order: a row waits until no later group can have one before.
    """
    import pyarrow.parquet as pq

    with read_with(path, lambda: pq.ParquetFile(path, page_checksum_verification=True)) as file:
        check_columns(path, file.schema_arrow, _COLUMNS)
        waiting: Rows | None = None
        least = _least_from(file)
        for group in range(file.num_row_groups):
            rows = _rows(read_with(path, partial(file.read_row_group, group, columns=_COLUMNS)))
            if waiting is not None:
                rows = Rows(*(np.concatenate(both) for both in zip(waiting, rows, strict=True)))
            rows = rows.of(np.argsort(rows.access, kind="stable"))
            n = int(np.searchsorted(rows.access, least[group + 1]))
            waiting = rows.of(slice(n, None))
            yield rows.of(slice(None, n))
        if waiting is not None and len(waiting.access):
            yield waiting


def _least_from(file: Any) -> list[int]:
    """The least access of each group and those after it; behind the last, past all."""
    place = file.schema_arrow.get_field_index("access")
    least = [np.iinfo(np.int64).max]
    for group in reversed(range(file.num_row_groups)):
        said = file.metadata.row_group(group).column(place).statistics
        has_some = said is not None and said.has_min_max
        least.append(
            min(least[-1], int(said.min)) if has_some else 0 if file.metadata.row_group(group).num_rows else least[-1]
        )
    return least[::-1]


def _rows(table: Any) -> Rows:
    outcome = table.column("outcome").combine_chunks().cast("string").dictionary_encode()
    codes = np.array([OUTCOMES.index(name) for name in outcome.dictionary.to_pylist()], np.int64)
    access, key, latency = (table.column(name).to_numpy() for name in ("access", "key", "latency_ns"))
    return Rows(access, key, codes[outcome.indices.to_numpy()] if len(codes) else np.empty(0, np.int64), latency)


def _both(a: Iterator[Rows], b: Iterator[Rows]) -> Iterator[tuple[Rows, Rows]]:
    """Pieces of both that reach equally far."""
    none = Rows(np.empty(0, np.int64), np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int64))
    of_a = of_b = none
    while True:
        more = [len(of_a.access) == 0, len(of_b.access) == 0]
        if more[0]:
            of_a = next((piece for piece in a if len(piece.access)), none)
        if more[1]:
            of_b = next((piece for piece in b if len(piece.access)), none)
        if not len(of_a.access) or not len(of_b.access):
            break
        end = min(of_a.access[-1], of_b.access[-1])
        n_a, n_b = (int(np.searchsorted(of.access, end, "right")) for of in (of_a, of_b))
        yield of_a.of(slice(None, n_a)), of_b.of(slice(None, n_b))
        of_a, of_b = of_a.of(slice(n_a, None)), of_b.of(slice(n_b, None))
    for rest in [of_a, *a]:
        yield rest, none
    for rest in [of_b, *b]:
        yield none, rest
