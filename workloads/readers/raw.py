"""Raw tables: what a file has in its columns, before anyone says what they mean."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from simulator.errors import InputError
from workloads.readers.kinds import NUMBER


@dataclass
class Want:
    """A column that is wanted: its name or number in the file, and what to take its cells for.

    ``kind`` is one of ``kinds``; ``scale`` is the power of ten of a decimal. Who wants the column may change them
    between pieces. A table that cannot parse a piece as that hands its cells over as they are.
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
    left_out: Mapping[str, int] = field(default_factory=dict)
    """How many rows of the file are not among these, nor those before, by the reason; a piece may have no others."""

    def head(self, n_rows: int, are_lists: Sequence[bool]) -> "Piece":
        """Its first rows. ``are_lists`` says of which columns rows have lists."""
        n_items = 0 if self.counts is None else int(self.counts[:n_rows].sum())
        columns = [c[: n_items if is_list else n_rows] for c, is_list in zip(self.columns, are_lists, strict=True)]
        return Piece(columns, n_rows, self.where, None if self.counts is None else self.counts[:n_rows])


class RowError(InputError):
    """A row is wrong; what is before it is to be had. ``row`` is its number in the piece."""

    def __init__(self, row: int, message: str) -> None:
        super().__init__(message)
        self.row = row


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
