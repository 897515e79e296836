"""Writes the compact form of a trace, which ``readers.compact`` describes and reads."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from simulator.trace import COLUMNS, Batch
from workloads.base import Reuse
from workloads.readers.compact import ABOUT, VERSIONS, About

SCHEMA = pa.schema([pa.field(name, pa.from_numpy_dtype(dtype), nullable=False) for name, dtype in COLUMNS.items()])
ROW_GROUP = 1 << 20
# Times and requests mostly rise in small steps; the others repeat.
_ENCODINGS = {"time_ns": "DELTA_BINARY_PACKED", "request": "DELTA_BINARY_PACKED"}


class CompactWriter:
    """Writes batches to a file as they come; whoever has it closes it."""

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(
            path,
            SCHEMA,
            compression="zstd",
            use_dictionary=[name for name in COLUMNS if name not in _ENCODINGS],
            column_encoding=_ENCODINGS,
        )
        self._pending: list[Any] = []
        self.n_accesses = 0
        self.n_streams = 1

    def write(self, batch: Batch) -> None:
        """Append accesses."""
        self._pending.append(pa.record_batch([pa.array(getattr(batch, name)) for name in COLUMNS], schema=SCHEMA))
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
    ) -> About:
        """Write what is left, and the description. ``stream_ids`` are the trace's (``Workload.stream_ids``)."""
        ids = None if stream_ids is None else stream_ids[: self.n_streams].tolist()
        about = About(source, source_sha256, self.n_accesses, self.n_streams, has_times, ids, reuse)
        self._write_group()
        self._writer.add_key_value_metadata({ABOUT: json.dumps({"version": VERSIONS[-1], **asdict(about)})})
        return about

    def close(self) -> None:
        """Let go of the file, whole or not."""
        self._writer.close()
