"""CSV and Parquet with a mapping of columns; text keys, streams and requests are hashed to 64 bits (BLAKE2b)."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from simulator.config import Strict
from simulator.errors import InputError
from simulator.trace import Batch, make_batch
from workloads.base import DEFAULT_BLOCK, BlockBytes
from workloads.readers.files import BROKEN, RECORDS, FileWorkload, open_binary
from workloads.readers.format import FormatSettings

# Arrow is imported where it is used: it takes as long as all the rest, and a config can be read without it.
_TIME_UNITS_NS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}
_NUMBERED = ("key", "stream", "request")


class Columns(Strict):
    """The names that the file gives to the columns of a trace; key, stream and request are whole numbers or text."""

    key: str
    time_ns: str | None = None
    size_bytes: str | None = None
    stream: str | None = None
    request: str | None = None
    op: str | None = None


class TableConfig(FormatSettings):
    """CSV (may be packed) or Parquet, by the ending of ``path``; ``time_unit`` is what a step of the time column is."""

    kind: Literal["table"]
    columns: Columns
    block: BlockBytes = Field(DEFAULT_BLOCK, validate_default=True)
    time_unit: Literal["ns", "us", "ms", "s"] = "ns"
    name_parts: ClassVar[tuple[str, ...]] = (".csv", ".parquet")

    def build(self, seed: int, name: str = "source") -> "Tabular":
        """The trace."""
        columns = {name: column for name, column in self.columns if column is not None}
        return Tabular(self.file, columns, self.block, _TIME_UNITS_NS[self.time_unit])

    @property
    def has_times(self) -> bool:
        """If a column says them."""
        return self.columns.time_ns is not None


class Tabular(FileWorkload):
    """``columns`` maps key (needed), time_ns, size_bytes, stream, request and op to names in the file.

    Keys, streams and requests are whole numbers or text (``numbers.NumberColumn``). Streams have indices by first
    appearance, so that no result depends on what a trace calls them. Without a size column every block is
    ``block_bytes`` long.
    """

    def __init__(self, path: Path, columns: Mapping[str, str], block_bytes: int | None, time_unit_ns: int = 1) -> None:
        from workloads.readers.columns import Indices

        super().__init__(path)
        self._columns = columns
        self._block_bytes = block_bytes
        self._time_unit_ns = time_unit_ns
        self._streams = Indices()

    @property
    def stream_ids(self) -> npt.NDArray[np.uint64] | None:
        """The number of each stream that was read so far (a text's hash); None for a trace that names none."""
        return self._streams.ids if "stream" in self._columns else None

    def _tables(self) -> Iterator[Any]:
        import pyarrow as pa
        import pyarrow.csv
        import pyarrow.parquet as pq

        wanted = list(dict.fromkeys(self._columns.values()))
        with open_binary(self.path) as file:
            try:
                if self.path.suffix == ".parquet":
                    parquet = pq.ParquetFile(file)
                    self._check_names(parquet.schema_arrow.names)
                    yield from parquet.iter_batches(RECORDS, columns=wanted)
                    return
                # As text: Arrow would read whole numbers of 2**63 and more as floating point and lose their end.
                texts = {name: pa.string() for column, name in self._columns.items() if column in _NUMBERED}
                as_text = pa.csv.ConvertOptions(column_types=texts, null_values=[""], strings_can_be_null=True)
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
        from workloads.readers.columns import are_writes
        from workloads.readers.numbers import NumberColumn

        n = 0
        names = {column: name for column, name in self._columns.items() if column in _NUMBERED}
        numbered = {column: NumberColumn(self.path, name, column) for column, name in names.items()}
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
                columns["op"] = are_writes(given["op"])
            columns |= {column: numbers.of(given[column], n) for column, numbers in numbered.items()}
            if "stream" in columns:
                columns["stream"] = self._streams.of(columns["stream"])
            yield make_batch(columns.pop("key"), n, **columns)
            n += len(table)

    def _known_length(self) -> int | None:
        import pyarrow as pa
        import pyarrow.parquet as pq

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
        import pyarrow as pa

        if pa.types.is_string(column.type):
            # A CSV's column of times may be that of requests too, and is read as text then.
            with suppress(pa.ArrowInvalid):
                column = column.cast(pa.int64())
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
