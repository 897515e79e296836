"""A person's generator or reader as a workload: what it yields becomes batches, or an error that says what is wrong."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.errors import OutsideError
from simulator.trace import COLUMNS, MOST_BYTES, Batch, make_batch
from simulator.units import parse_bytes
from simulator.watched import Watched
from workloads.base import DEFAULT_BLOCK

_END = object()
_BLOCK_BYTES = parse_bytes(DEFAULT_BLOCK)
_RANGES = {
    "size_bytes": (1, MOST_BYTES - 1), "op": (0, 1), "stream": (0, 2**32 - 1), "time_ns": (0, 2**63 - 1),
}  # fmt: skip


class OutsideWorkload:
    """Asks an object with ``batches()``."""

    stream_ids: npt.NDArray[np.uint64] | None = None

    def __init__(self, made: Any, watched: Watched) -> None:
        self._made, self._watched = made, watched

    @cached_property
    def _counted(self) -> tuple[int, int]:
        """Accesses and streams."""
        n_accesses = n_streams = 0
        for batch in self.batches():
            n_accesses += len(batch)
            if len(batch):
                n_streams = max(n_streams, int(batch.stream.max()) + 1)
        return n_accesses, max(n_streams, 1)

    def length(self) -> int:
        """How many accesses there are."""
        return self._counted[0]

    @property
    def n_streams(self) -> int:
        """How many streams there are: one more than the largest number."""
        return self._counted[1]

    def batches(self) -> Iterator[Batch]:
        """The trace, from its start.

        Raises:
            OutsideError: it failed, or what it yields are no accesses.
        """
        pieces = self._watched.call(lambda: iter(self._made.batches()))[0]
        n = 0
        while True:
            piece = self._watched.call(next, pieces, _END)[0]
            if piece is _END:
                return
            batch = self._batch(piece, n)
            n += len(batch)
            if len(batch):
                yield batch

    def _batch(self, piece: Any, n: int) -> Batch:
        """What it yielded, behind ``n`` accesses."""
        if isinstance(piece, Batch):
            columns: dict[str, Any] = {name: getattr(piece, name) for name in COLUMNS} | dict(piece.features)
        elif isinstance(piece, Mapping):
            columns = dict(piece)
        else:
            columns = {"key": piece}
        columns.setdefault("size_bytes", _BLOCK_BYTES)
        if "key" not in columns:
            raise self._wrong(n, f"columns {', '.join(map(repr, columns)) or 'none'}", "one of them called key")
        found = {name: self._whole(name, values, n) for name, values in columns.items()}
        lengths = {name: len(values) for name, values in found.items() if values.ndim}
        n_rows = lengths.get("key", -1)
        for name, length in lengths.items():
            if length != n_rows:
                raise self._wrong(n, f"{length} values of {name} for {n_rows} keys", "as many, or one for all")
        features = {name: found.pop(name) for name in list(found) if name not in COLUMNS}
        return make_batch(found.pop("key"), n, features=features, **found)

    def _whole(self, name: str, values: Any, n: int) -> npt.NDArray[Any]:
        """A column: whole numbers that are in its range, or one for all."""
        column = np.asarray(values)
        if column.dtype == bool:
            column = column.astype(np.uint8)
        is_key = name == "key"
        if column.ndim > 1 or (is_key and column.ndim == 0):
            raise self._wrong(n, f"{name} of shape {column.shape}", "a row of numbers")
        if column.size == 0:
            return column.astype(np.uint64)
        if column.dtype.kind not in "iu":
            raise self._wrong(n, f"{name} of type {column.dtype}", "whole numbers")
        least, most = _RANGES.get(name, (0, 2**64 - 1))
        for value in (int(column.min()), int(column.max())):
            if not least <= value <= most:
                at = int(np.argmax(column == value)) if column.ndim else 0
                raise OutsideError(
                    f"{self._watched.who}: access {n + at}: {name} is {value}; expected {least} to {most}"
                )
        return column

    def _wrong(self, n: int, got: str, expected: str) -> OutsideError:
        return OutsideError(f"{self._watched.who}: batches yielded {got}, behind {n} accesses; expected {expected}")
