"""A trace that is a table: what a layout says of the columns of a raw table."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from simulator.errors import InputError
from simulator.trace import Batch
from workloads.readers.columns import Indices
from workloads.readers.files import FileWorkload
from workloads.readers.layout import Layout
from workloads.readers.raw import RawTable
from workloads.readers.rows import Rows, TooLateError

Damaged = Literal["error", "stop"]


class TableWorkload(FileWorkload):
    """Reads ``table`` by a layout, which is made when the columns are first needed.

    With ``damaged`` ``"stop"`` it is read to the last good row, which ``reading`` says.
    """

    def __init__(
        self, path: Path, table: RawTable, layout: Callable[[], Layout], default_bytes: int, damaged: Damaged = "error"
    ) -> None:
        super().__init__(path)
        self._table, self._layout = table, layout
        self._default_bytes, self._damaged = default_bytes, damaged
        self._streams = Indices()
        self.keeps_texts = False
        """Whether the text of hashed keys is remembered: ``key_texts``."""
        self.key_texts: dict[int, str] = {}

    @property
    def stream_ids(self) -> npt.NDArray[np.uint64] | None:
        """The number of each stream that was read so far (a text's hash); None for a trace that names none."""
        return self._streams.ids if self._layout().stream else None

    def notes_of_ids(self) -> list[str]:
        """What was hashed, as the first rows show it. Raises InputError if they are bad."""
        if not self.reading.n_rows:
            next(self._read(), None)
        return super().notes_of_ids()

    def _read(self) -> Iterator[Batch]:
        rows = Rows(self.path, self._layout(), self._streams, self._default_bytes)
        self.reading = rows.reading
        if self.keeps_texts:
            rows.keep_texts()
            self.key_texts = rows.key_texts
        try:
            yield from rows.batches(self._table)
        except TooLateError:
            # No damage: more rows may be allowed for.
            raise
        except InputError as error:
            if self._damaged == "error" or rows.reading.n_rows == 0:
                raise
            rows.reading.ended = str(error)

    def _known_length(self) -> int | None:
        try:
            layout = self._layout()
            if layout.splits or layout.op or layout.repeat or layout.empty == "skip" or self._damaged == "stop":
                return None
            return self._table.n_rows()
        except InputError:
            # Reading it says what is the matter.
            return None

    def _known_streams(self) -> int | None:
        return None if self._layout().stream else 1
