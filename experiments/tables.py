"""Parquet tables with explicit schemas, written aside and renamed when whole."""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from experiments.aside import aside_of, naming, written_aside
from experiments.plan import Key, stem_of
from experiments.seal import Seal, of_rows
from simulator.accounting import INFERENCE_COLUMNS, UpdateDone
from simulator.errors import InputError
from simulator.links import PRIORITY_NAMES
from simulator.policy import Cause, Fate, Outcome, Status
from simulator.records.rows import AccessRow, PrefetchRow, RequestRow, TransferRow

ROW_GROUP = 1 << 16
"""Rows are written as the run goes, in groups of about so many: memory does not grow with them."""

_NAMES = pa.dictionary(pa.int8(), pa.string())
_RUN: list[tuple[str, Any]] = [
    ("arm", pa.dictionary(pa.int32(), pa.string())),
    ("seed", pa.int64()),
    ("repeat", pa.int32()),
]
# What is no int64; all else of a row is one.
_TYPES: dict[str, Any] = {
    **dict.fromkeys(("stream", "request", "key", "predicted_key", "next_key"), pa.uint64()),
    **dict.fromkeys(("op", "outcome", "shadow", "fate", "status", "link", "class", "priority", "cause"), _NAMES),
    **dict.fromkeys(("n_proposed", "n_at_once", "n_issued"), pa.int32()),
    "size_bytes": pa.int64(), "source_level": pa.int8(), "expert": pa.int16(), "confidence": pa.float32(),
    "came_true": pa.bool_(), "is_down": pa.bool_(), "channel": pa.int32(),
}  # fmt: skip


def _schema(names: Iterable[str]) -> Any:
    return pa.schema([*_RUN, *((name, _TYPES.get(name, pa.int64())) for name in names)])


def _of_prefetches() -> Iterator[str]:
    for name in PrefetchRow.dtype.names or ():
        yield name
        if name == "proposed_ns":
            yield "issued_ns"


SCHEMAS: dict[str, Any] = {
    "accesses": _schema(AccessRow.dtype.names or ()),
    "prefetches": _schema(_of_prefetches()),
    "inferences": _schema(INFERENCE_COLUMNS),
    "decisions": pa.schema(
        [
            *_RUN,
            ("batch", pa.int64()),
            ("question", pa.int32()),
            ("predicted_key", pa.uint64()),
            ("confidence", pa.float64()),
            ("keys", pa.list_(pa.uint64())),
            ("confidences", pa.list_(pa.float64())),
        ]
    ),
    "updates": pa.schema(
        [*_RUN, *((name, pa.float64() if name == "loss" else pa.int64()) for name in UpdateDone._fields)]
    ),
    "requests": _schema(RequestRow.dtype.names or ()),
    "transfers": _schema(name.rstrip("_") for name in TransferRow.dtype.names or ()),
    "windows": pa.schema(
        [
            *_RUN,
            ("window", pa.int64()),
            ("first_access", pa.int64()),
            *((f"n_{outcome.name.lower()}", pa.int64()) for outcome in Outcome),
            ("mean_latency_ns", pa.float64()),
            ("mean_inference_ns", pa.float64()),
            ("begun_ns", pa.int64()),
            ("used_bytes", pa.list_(pa.int64())),
        ]
    ),
    "training": pa.schema(
        [
            *_RUN,
            ("epoch", pa.int32()),
            ("loss", pa.float64()),
            ("top1_ratio", pa.float64()),
            ("topk_ratio", pa.float64()),
            ("validation_loss", pa.float64()),
            ("validation_top1_ratio", pa.float64()),
            ("validation_topk_ratio", pa.float64()),
            ("learning_rate", pa.float64()),
            ("train_s", pa.float64()),
            ("is_kept", pa.bool_()),
            ("temperature", pa.float64()),
            ("ece_before_ratio", pa.float64()),
            ("ece_after_ratio", pa.float64()),
        ]
    ),
}
_ENUMS = {
    "op": ["read", "write"],
    "outcome": [outcome.name.lower() for outcome in Outcome],
    "fate": [fate.name.lower() for fate in Fate],
    "shadow": ["hit", "miss"],
    "status": [status.name.lower() for status in Status],
    "class": list(PRIORITY_NAMES),
    "priority": list(PRIORITY_NAMES),
    "cause": [cause.name.lower() for cause in Cause],
}
_NEVER_IS_NULL = {"filled_ns", "first_used_ns", "first_used_access", "evicted_ns", "asked_ns", "started_ns", "ended_ns"}


def _array(name: str, type_: Any, values: Any) -> Any:
    if name in _ENUMS and isinstance(values, np.ndarray):
        codes = np.asarray(values)
        return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int8(), mask=codes < 0), _ENUMS[name])
    if isinstance(values, np.ndarray):
        mask = np.ma.getmaskarray(values) if np.ma.isMaskedArray(values) else None
        values = np.ascontiguousarray(np.ma.getdata(values))
        if values.ndim == 2:
            ends = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
            return pa.ListArray.from_arrays(ends, pa.array(values.ravel()))
        if type_ == pa.uint64():
            return pa.array(values.view(np.uint64), type_, mask=mask)
        return pa.array(values, mask=values < 0 if name in _NEVER_IS_NULL else mask).cast(type_)
    if name in _NEVER_IS_NULL:
        return pa.array([None if value < 0 else value for value in values], type_)
    if pa.types.is_dictionary(type_):
        return pa.array(values, pa.string()).dictionary_encode().cast(type_)
    return pa.array(values, type_)


def make_folder(path: Path) -> None:
    """A folder that can be written. Raises InputError if it cannot."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        # A name that is known for what it is, should it be left: then the next command removes it.
        probe = aside_of(path / "writable")
        try:
            probe.touch()
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}; expected a folder for results") from None


def rows_of(table: str, columns: dict[str, Any], run: Key, stream_ids: npt.NDArray[np.uint64] | None = None) -> Any:
    """Rows of a run's table as Arrow, with its schema; streams get the trace's own numbers, ``stream_ids``."""
    schema = SCHEMAS[table]
    if table == "prefetches":
        # Issued at once when proposed: what would have to wait is rejected by the budget.
        columns = {**columns, "issued_ns": columns["proposed_ns"]}
    # Calls before the run are of no stream; all other rows have theirs.
    if stream_ids is not None and isinstance(columns.get("stream"), np.ndarray):
        columns = {**columns, "stream": stream_ids[columns["stream"]]}
    n = len(next(iter(columns.values())))
    arm, seed, repeat = run
    of_run = {
        "arm": pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), [arm]),
        "seed": pa.array(np.full(n, seed, np.int64)),
        "repeat": pa.array(np.full(n, repeat, np.int32)),
    }
    arrays = [
        of_run[field.name] if field.name in of_run else _array(field.name, field.type, columns[field.name])
        for field in schema
    ]
    return pa.table(arrays, schema=schema)


class RunTables:
    """The tables of one run: a file each, ``<folder>/<table>/<arm>-<seed>.parquet``, of a repeat ``...-r<repeat>``.

    The simulator's streams are indices; here they get the trace's own numbers (``Workload.stream_ids``).
    """

    def __init__(
        self, folder: Path, run: Key, tables: set[str], stream_ids: npt.NDArray[np.uint64] | None = None
    ) -> None:
        self._folder = folder
        self._arm, self._seed, self._repeat = run
        self._wanted = tables
        self._stream_ids = stream_ids
        self._writers: dict[str, tuple[Any, Path, Path]] = {}
        self._renamed: list[Path] = []
        self._pending: dict[str, list[Any]] = {table: [] for table in tables}
        self._seal = Seal()

    def takes(self, table: str) -> bool:
        """Whether the config wants that table."""
        return table in self._wanted

    def write(self, table: str, columns: dict[str, Any]) -> None:
        """Append rows to a table; those that the config leaves out are ignored."""
        if table not in self._wanted:
            return
        rows = rows_of(table, columns, (self._arm, self._seed, self._repeat), self._stream_ids)
        if table == "inferences":
            self._seal.add(dict(zip(rows.schema.names, (column.chunk(0) for column in rows.columns), strict=True)))
        self._pending[table].append(rows)
        if sum(len(piece) for piece in self._pending[table]) >= ROW_GROUP:
            self._write_group(table)

    def _write_group(self, table: str) -> None:
        pieces, self._pending[table] = self._pending[table], []
        if pieces:
            with naming(self._path(table)):
                self._writer(table).write_table(pa.concat_tables(pieces), row_group_size=2 * ROW_GROUP)

    def _path(self, table: str) -> Path:
        return self._folder / table / f"{stem_of(self._arm, self._seed, self._repeat)}.parquet"

    def _writer(self, table: str) -> Any:
        if table not in self._writers:
            whole = self._path(table)
            whole.parent.mkdir(exist_ok=True)
            aside = aside_of(whole)
            self._writers[table] = pq.ParquetWriter(aside, SCHEMAS[table], write_page_checksum=True), aside, whole
        return self._writers[table][0]

    def finish(self, metadata: dict[str, Any]) -> list[Path]:
        """Close every table with its metadata, then rename them all; the files."""
        described = {key: _text(value) for key, value in metadata.items()}
        for table in sorted(self._wanted):
            self._write_group(table)
            writer = self._writer(table)
            seal = {"seal_sha256": self._seal.digest(described)} if table == "inferences" else {}
            writer.add_key_value_metadata(described | seal)
            with naming(self._path(table)):
                writer.close()
        for _, aside, whole in self._writers.values():
            aside.replace(whole)
            self._renamed.append(whole)
        self._writers.clear()
        return self._renamed

    def abandon(self) -> None:
        """Leave nothing half-written."""
        for writer, aside, _ in self._writers.values():
            # On a full disk it cannot be closed either, or removed; what is said is why it came to this.
            with suppress(OSError):
                writer.close()
            with suppress(OSError):
                aside.unlink(missing_ok=True)
        for whole in self._renamed:
            with suppress(OSError):
                whole.unlink(missing_ok=True)
        self._writers.clear()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def write_rows(path: Path, rows: list[dict[str, Any]], metadata: dict[str, Any]) -> None:
    """A small table from rows, whose columns are those of all rows together; written aside, then renamed."""
    table = columns_of_rows(rows)
    table = table.replace_schema_metadata({key: _text(value) for key, value in metadata.items()})
    with written_aside(path) as aside:
        pq.write_table(table, aside, write_page_checksum=True)


def columns_of_rows(rows: list[dict[str, Any]]) -> Any:
    """A small table of rows, whose columns are those of all rows together."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: _small_column([row.get(name) for row in rows]) for name in names})


def write_sealed(path: Path, rows: list[dict[str, Any]], metadata: dict[str, Any]) -> None:
    """As ``write_rows``, with a checksum over rows and metadata in the latter."""
    described = {key: _text(value) for key, value in metadata.items()}
    write_rows(path, rows, {**described, "seal_sha256": of_rows(rows, described)})


def _small_column(values: list[Any]) -> Any:
    known = {type(value) for value in values if value is not None}
    type_ = {frozenset({int}): pa.int64(), frozenset({str}): pa.string(), frozenset({bool}): pa.bool_()}.get(
        frozenset(known), pa.float64()
    )
    return pa.array(values, type_)
