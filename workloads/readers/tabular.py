"""CSV and Parquet with a mapping of columns; string keys are hashed to 64 bits (BLAKE2b)."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from simulator.errors import InputError
from simulator.trace import Batch, make_batch
from workloads.readers import columns as c
from workloads.readers.files import BROKEN, RECORDS, FileWorkload, open_binary

_KEY_TYPES = (
    pa.types.is_integer, pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_dictionary
)  # fmt: skip


class Tabular(FileWorkload):
    """``columns`` maps key (needed), time_ns, size_bytes, stream, request and op to names in the file.

    Streams and requests may be any values; they are numbered by first appearance. Without a size column every block
    is ``block_bytes`` long.
    """

    def __init__(self, path: Path, columns: Mapping[str, str], block_bytes: int | None, time_unit_ns: int = 1) -> None:
        super().__init__(path)
        self._columns = columns
        self._block_bytes = block_bytes
        self._time_unit_ns = time_unit_ns

    def _tables(self) -> Iterator[Any]:
        wanted = list(dict.fromkeys(self._columns.values()))
        with open_binary(self.path) as file:
            try:
                if self.path.suffix == ".parquet":
                    parquet = pq.ParquetFile(file)
                    self._check_names(parquet.schema_arrow.names)
                    yield from parquet.iter_batches(RECORDS, columns=wanted)
                    return
                # As text: Arrow would read whole numbers of 2**63 and more as floating point and lose their end.
                as_text = pa.csv.ConvertOptions(
                    column_types={self._columns["key"]: pa.string()}, null_values=[""], strings_can_be_null=True
                )
                reader = pa.csv.open_csv(file, pa.csv.ReadOptions(block_size=1 << 22), convert_options=as_text)
                self._check_names(reader.schema.names)
                yield from reader
            except (pa.ArrowException, *BROKEN, KeyError, UnicodeDecodeError) as error:
                raise InputError(f"{self.path}: cannot be read as a table: {error}") from None

    def _check_names(self, names: list[str]) -> None:
        for column, name in self._columns.items():
            if names.count(name) > 1:
                raise InputError(f"{self.path}: column {name!r} is there {names.count(name)} times; expected one")
            if name not in names:
                raise InputError(
                    f"{self.path}: has no column {name!r} (columns.{column}); expected one of {', '.join(names)}"
                )

    def _read(self) -> Iterator[Batch]:
        """The trace. Raises InputError on a value that does not fit its column."""
        n = 0
        keys, streams, requests = _Keys(self.path, self._columns["key"]), c.Numbers(), c.Runs()
        for table in self._tables():
            given = {column: table.column(name) for column, name in self._columns.items()}
            if len(table) == 0:
                continue
            columns: dict[str, Any] = {"size_bytes": self._block_bytes or 1}
            for column in ("time_ns", "size_bytes"):
                if column in given:
                    columns[column] = self._integers(given[column], column, n)
            if "time_ns" in columns:
                columns["time_ns"] = columns["time_ns"] * self._time_unit_ns
            if "op" in given:
                columns["op"] = c.are_writes(given["op"])
            if "stream" in given:
                columns["stream"] = streams.of(given["stream"])
            if "request" in given:
                columns["request"] = requests.of(given["request"])
            yield make_batch(keys.of(given["key"], n), n, **columns)
            n += len(table)

    def _known_length(self) -> int | None:
        if self.path.suffix != ".parquet":
            return None
        try:
            with open_binary(self.path) as file:
                parquet = pq.ParquetFile(file)
                self._check_names(parquet.schema_arrow.names)
                return parquet.metadata.num_rows or None
        except (InputError, pa.ArrowException, OSError):
            # Reading it says what is the matter.
            return None

    def _known_streams(self) -> int | None:
        return None if "stream" in self._columns else 1

    def _integers(self, column: Any, name: str, first: int) -> Any:
        values = column.to_numpy(zero_copy_only=False)
        low = 1 if name == "size_bytes" else 0
        high = 2**32 if name == "size_bytes" else 2**62 // self._time_unit_ns
        if values.dtype.kind in "iu":
            wrong = (values < low) | (values >= high)
            if not wrong.any():
                return values.astype(np.int64)
        else:
            texts = [str(value) for value in column.to_pylist()]
            wrong = np.array([not text.isdecimal() for text in texts])
            wrong[:1] |= not wrong.any()
        bad = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"{self.path}: row {first + bad + 1}: column {self._columns[name]!r} is {column.to_pylist()[bad]!r}; "
            f"expected a whole number from {low} to {high - 1} ({name})"
        )


class _Keys:
    """The column of keys, batch by batch: whole numbers, or text, which is hashed unless it is numbers throughout."""

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self._name = name
        self._hashes = False

    def of(self, column: Any, first: int) -> Any:
        """The keys of the rows from number ``first`` on. Raises InputError on one that is none."""
        if pa.types.is_integer(column.type) and column.null_count == 0:
            values = column.to_numpy(zero_copy_only=False)
            if values.dtype.kind == "i" and (values < 0).any():
                bad = int(np.flatnonzero(values < 0)[0])
                raise InputError(
                    f"{self._path}: row {first + bad + 1}: key {values[bad]} is negative; expected 0 or more"
                )
            return values.astype(np.uint64)
        if column.null_count:
            bad = column.to_pylist().index(None)
            raise InputError(f"{self._path}: row {first + bad + 1}: the key is missing")
        if not any(is_kind(column.type) for is_kind in _KEY_TYPES):
            raise InputError(f"{self._path}: column {self._name!r} holds {column.type}; expected whole or text keys")
        if not self._hashes and pa.types.is_string(column.type):
            # Text that is a number is that number; what the first batch shows holds for the whole file.
            try:
                return column.cast(pa.uint64()).to_numpy(zero_copy_only=False)
            except pa.ArrowInvalid as error:
                if first:
                    raise InputError(
                        f"{self._path}: after row {first}: {error}; expected whole numbers, as the keys before are"
                    ) from None
            for i, text in enumerate(column.to_pylist()):
                if text[:1] == "-" and text[1:].isdecimal():
                    raise InputError(f"{self._path}: row {i + 1}: key {text} is negative; expected 0 or more")
            self._hashes = True
        return c.hashes(column)
