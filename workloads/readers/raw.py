"""Raw tables: what a file has in its columns, before anyone says what they mean."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from simulator.errors import InputError
from workloads.readers.fields import NUMBER


class RowError(InputError):
    """A row of a piece is bad; those before it may be good."""

    def __init__(self, message: str, row: int) -> None:
        super().__init__(message)
        self.row = row
        """Its number in the piece."""


@dataclass
class Want:
    """A column that is wanted: its name or number in the file, and what to take its cells for.

    ``kind`` is one of ``fields`` (``scale`` is the power of ten of a decimal). Who wants it may change it between
    pieces. A table that cannot parse a piece so hands its cells over as they are.
    """

    column: str
    kind: int = NUMBER
    scale: int = 0
    takes_truth: bool = False
    """Whether true and false are words of it."""
    is_list: bool = False
    """Set by a table whose rows have a list there: a cell for each of its items."""


@dataclass(frozen=True)
class Piece:
    """Some rows of a table: for each wanted column Arrow's array of what the file has there.

    Where a column was parsed for what is wanted it is NumPy's, of uint64.
    """

    columns: Sequence[Any]
    n_rows: int
    where: Callable[[int], str]
    """``line 7``, ``row 7``: of a row of this piece, for messages."""
    counts: Any = None
    """Of rows with a list: how many items each has."""

    def until(self, row: int, wants: "Sequence[Want]") -> "Piece":
        """The rows before one."""
        if self.counts is None:
            return replace(self, columns=[column[:row] for column in self.columns], n_rows=row)
        n_items = int(self.counts[:row].sum())
        ends = [n_items if want.is_list else row for want in wants]
        columns = [column[:end] for column, end in zip(self.columns, ends, strict=True)]
        return replace(self, columns=columns, n_rows=row, counts=self.counts[:row])


class RawTable(Protocol):
    """A file as a table."""

    def names(self) -> list[str]:
        """The columns that it has; empty if they have numbers alone. Raises InputError if it cannot be read."""
        ...

    def pieces(self, wants: Sequence[Want]) -> Iterator[Piece]:
        """Its rows, from the start. Raises InputError where it is damaged; what was before that has been yielded."""
        ...

    def n_rows(self) -> int | None:
        """How many rows there are, if the file says it without being read."""
        ...
