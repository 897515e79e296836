"""Files of fixed-size binary records as tables, plain or packed."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from workloads.readers.files import count_records, read_records
from workloads.readers.raw import Piece, Want


def _where(first: int, row: int) -> str:
    return f"record {first + row}"


class RecordTable:
    """Records of a NumPy type, whose fields are columns; ``derive`` makes columns of records that are none of those.

    ``header_bytes`` are left out at the start.
    """

    def __init__(
        self, path: Path, dtype: Any, derive: dict[str, Callable[[Any], Any]] | None = None, header_bytes: int = 0
    ) -> None:
        self._path, self._dtype = path, np.dtype(dtype)
        self._derive = derive or {}
        self._header_bytes = header_bytes

    def names(self) -> list[str]:
        """The fields of a record."""
        return [*(self._dtype.names or ()), *self._derive]

    def n_rows(self) -> int | None:
        """How many there are, of a plain file."""
        return count_records(self._path, self._dtype, self._header_bytes)

    def pieces(self, wants: Sequence[Want]) -> Iterator[Piece]:
        """The rows. Raises InputError if the file ends within one."""
        first = 0
        for records in read_records(self._path, self._dtype, self._header_bytes):
            columns = [self._column(records, want.column) for want in wants]
            yield Piece(columns, len(records), partial(_where, first))
            first += len(records)

    def _column(self, records: Any, name: str) -> Any:
        if name in self._derive:
            return self._derive[name](records)
        import pyarrow as pa

        # Arrow's, as what they are: an array of NumPy's would be taken for numbers in the unit that is wanted.
        return pa.array(np.ascontiguousarray(records[name]))
