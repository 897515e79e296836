"""Writes the compact form of a trace, which ``readers.compact`` describes and reads."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from simulator.errors import InputError
from simulator.trace import COLUMNS, Batch
from workloads.base import Reuse
from workloads.readers.compact import ABOUT, VERSIONS, About

ROW_GROUP = 1 << 20
# Times and requests mostly rise in small steps; the others repeat.
_ENCODINGS = {"time_ns": "DELTA_BINARY_PACKED", "request": "DELTA_BINARY_PACKED"}


def column_of(feature: str) -> str:
    """Which column of the file a feature is: none of the other columns has a name like that."""
    return f"feature.{feature}"


def schema_of(features: Sequence[str], size_bits: int = 64) -> Any:
    """The columns of a file; ``size_bits`` of one of version 3 and before are 32. Raises InputError on an odd name."""
    types = {name: pa.from_numpy_dtype(dtype) for name, dtype in COLUMNS.items()}
    if size_bits == 32:
        types["size_bytes"] = pa.uint32()
    for name in features:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise InputError(f"feature {name!r}: expected a name of Unicode characters (columns.features)") from None
        types[column_of(name)] = pa.uint64()
    return pa.schema([pa.field(name, type_, nullable=False) for name, type_ in types.items()])


class CompactWriter:
    """Writes batches to a file as they come; whoever has it closes it. The first one says which features there are."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: Any = None
        self._features: tuple[str, ...] = ()
        self._schema = schema_of(())
        self._pending: list[Any] = []
        self.n_accesses = 0
        self.n_streams = 1

    def _open(self, features: Iterable[str]) -> None:
        self._features = tuple(features)
        self._schema = schema_of(self._features)
        self._writer = pq.ParquetWriter(
            self._path,
            self._schema,
            compression="zstd",
            use_dictionary=[name for name in self._schema.names if name not in _ENCODINGS],
            column_encoding=_ENCODINGS,
        )

    def write(self, batch: Batch) -> None:
        """Append accesses. Raises InputError if a feature cannot be written under its name."""
        if self._writer is None:
            self._open(batch.features)
        columns = [getattr(batch, name) for name in COLUMNS] + [batch.features[name] for name in self._features]
        self._pending.append(pa.record_batch([pa.array(column) for column in columns], schema=self._schema))
        self.n_accesses += len(batch)
        self.n_streams = max(self.n_streams, int(batch.stream.max(initial=0)) + 1)
        if sum(map(len, self._pending)) >= ROW_GROUP:
            self._write_group()

    def _write_group(self) -> None:
        pieces, self._pending = self._pending, []
        if pieces:
            self._writer.write_table(pa.Table.from_batches(pieces), row_group_size=2 * ROW_GROUP)

    def finish(
        self,
        source: str,
        source_sha256: str | None,
        *,
        has_times: bool,
        stream_ids: npt.NDArray[np.uint64] | None = None,
        reuse: Reuse = "block",
        hashed: Mapping[str, str] | None = None,
        more: Mapping[bytes, str] | None = None,
    ) -> About:
        """Write what is left, and the description.

        ``stream_ids`` are the trace's (``Workload.stream_ids``), ``hashed`` is as in ``Reading``; ``more`` is what else
        the file's metadata is to say, by name.
        """
        ids = None if stream_ids is None else stream_ids[: self.n_streams].tolist()
        if self._writer is None:
            self._open(())
        about = About(
            source,
            source_sha256,
            self.n_accesses,
            self.n_streams,
            has_times,
            ids,
            reuse,
            list(self._features),
            dict(hashed or {}),
        )
        self._write_group()
        described = json.dumps({"version": VERSIONS[-1], **asdict(about)})
        self._writer.add_key_value_metadata({**(more or {}), ABOUT: described})
        return about

    def close(self) -> None:
        """Let go of the file, whole or not."""
        if self._writer is not None:
            self._writer.close()
