"""Parquet files as tables."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from simulator.errors import InputError
from workloads.readers.files import BROKEN, RECORDS, check_regular
from workloads.readers.raw import Piece, Want


def _where(first: int, row: int) -> str:
    return f"row {first + row + 1}"


class ParquetTable:
    """A Parquet file as a table. Times keep Arrow's own types."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _open(self) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        check_regular(self._path)
        if not self._path.is_file():
            raise InputError(
                f"{self._path}: no such file; expected a trace (TIERFETCH_TRACES names the folder to look in)"
            )
        try:
            return pq.ParquetFile(self._path)
        except (pa.ArrowException, *BROKEN) as error:
            raise self._bad(error) from None

    def _bad(self, error: Exception) -> InputError:
        said = str(error).splitlines() or [type(error).__name__]
        return InputError(f"{self._path}: cannot be read as a table: {said[0]}")

    def names(self) -> list[str]:
        """The columns that it has. Raises InputError if it cannot be read."""
        with self._open() as file:
            return list(file.schema_arrow.names)

    def _columns(self, batch: Any, wants: Sequence[Want]) -> tuple[list[Any], Any]:
        """The wanted columns, lists of theirs one after another; and how many items each row has, if one is lists."""
        import pyarrow as pa
        import pyarrow.compute as pc

        columns, counts = [], None
        for want in wants:
            column = batch.column(want.column)
            want.is_list = pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
            if want.is_list:
                if counts is not None or column.null_count:
                    what = "has rows without a list" if column.null_count else "is a second column of lists"
                    raise InputError(f"{self._path}: column {want.column!r} {what}; expected one list of blocks a row")
                counts = pc.list_value_length(column).to_numpy(zero_copy_only=False).astype("int64")
                column = column.flatten()
            columns.append(column)
        return columns, counts

    def n_rows(self) -> int | None:
        """How many rows there are; None if one may be several accesses. Raises InputError if it cannot be read."""
        import pyarrow as pa

        with self._open() as file:
            types = file.schema_arrow.types
            has_lists = any(pa.types.is_list(of) or pa.types.is_large_list(of) for of in types)
            return None if has_lists else int(file.metadata.num_rows)

    def pieces(self, wants: Sequence[Want]) -> Iterator[Piece]:
        """The rows. Raises InputError where it is damaged."""
        import pyarrow as pa

        wanted = list(dict.fromkeys(want.column for want in wants))
        first = 0
        with self._open() as file:
            try:
                for batch in file.iter_batches(RECORDS, columns=wanted):
                    columns, counts = self._columns(batch, wants)
                    if len(batch):
                        yield Piece(columns, len(batch), partial(_where, first), counts)
                    first += len(batch)
            except (pa.ArrowException, *BROKEN, KeyError) as error:
                raise self._bad(error) from None
