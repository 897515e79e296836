"""Tables as text: fields between commas, semicolons, tabs or blanks, with or without a line of names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from simulator.errors import InputError
from workloads.readers.fields import fields, gather
from workloads.readers.kinds import BLANKS, LENGTH_BITS, TEXT
from workloads.readers.lines import DamagedError, count_lines, lines_of, read_lines, read_pieces
from workloads.readers.raw import Piece, Want

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "blank": "blank", "space": " "}
_GUESSED = ("\t", ";", "|", ",")
_MANY = 1 << 30
_BLANKS = " \t\r"
_TO_SPACES = str.maketrans("\t\r", "  ")
_LONGEST_SHOWN = 80


@dataclass(frozen=True)
class Dialect:
    """How a text file is a table.

    ``separator`` is a character, ``"blank"`` for blanks however many, or ``""`` to tell it by the line of names.
    ``n_fields`` is how many fields a row has, at least and at most; None: as many as the names. A file whose ``header``
    is ``"auto"`` has a line of names if none of its fields at the columns ``numbers`` begins as a number does.
    """

    separator: str = ""
    header: bool | Literal["auto"] = True
    comment: str = ""
    n_fields: tuple[int, int | None] | None = None
    names: tuple[str, ...] = ()
    """What to call the columns of a file that does not name them, or names them otherwise."""
    numbers: tuple[str, ...] = ()


def split(line: str, separator: str) -> list[str | None] | None:
    """The fields of a line, without what is blank around them; None for one that is empty. None if a quote is open.

    A field in quotes is what is between them; two quotes in it are one.
    """
    if separator == "blank":
        return [field for field in line.translate(_TO_SPACES).split(" ") if field]
    found: list[str | None] = []
    blanks = _BLANKS.replace(separator, "")
    at = 0
    while True:
        while at < len(line) and line[at] in blanks:
            at += 1
        if line[at : at + 1] == '"':
            parts = []
            at += 1
            while True:
                end = line.find('"', at)
                if end < 0:
                    return None
                parts.append(line[at:end])
                at = end + 1
                if line[at : at + 1] != '"':
                    break
                parts.append('"')
                at += 1
            rest = line[at:].partition(separator)[0]
            if rest.strip(blanks):
                return None
            found.append("".join(parts))
            at += len(rest)
        else:
            end = line.find(separator, at)
            field = (line[at:] if end < 0 else line[at:end]).strip(blanks)
            found.append(field or None)
            at = len(line) if end < 0 else end
        if at >= len(line):
            return found
        at += 1


def gathered(text: Any, places: Any) -> Any:
    """Texts of ``fields`` as Arrow has them; None if they are no UTF-8."""
    import pyarrow as pa

    out = np.empty(int((places & np.uint64(2**LENGTH_BITS - 1)).sum()), np.uint8)
    offsets = np.empty(len(places) + 1, np.int32)
    gather(text, places, out, offsets)
    made = pa.StringArray.from_buffers(len(places), pa.py_buffer(offsets), pa.py_buffer(out))
    try:
        made.validate(full=True)
    except pa.ArrowInvalid:
        return None
    return made


def _is_text(rows: bytes) -> bool:
    """Whether they are text, in which a carriage return is part of a line's end alone."""
    if not rows.isascii():
        try:
            rows.decode()
        except UnicodeDecodeError:
            return False
    return b"\0" not in rows and (b"\r" not in rows or rows.count(b"\r") == rows.count(b"\r\n"))


class TextTable:
    """A text file as a table, plain or packed."""

    def __init__(self, path: Path, dialect: Dialect) -> None:
        self._path = path
        self._dialect = dialect

    @cached_property
    def _first(self) -> tuple[int, str]:
        """The first line that says anything, and its number."""
        for number, line in read_lines(self._path, whole=True):
            text = self._text(number, line)
            if text.strip(_BLANKS) and not self._is_comment(text, _BLANKS):
                return number, text
        raise InputError(f"{self._path}: has comments alone; expected rows")

    @cached_property
    def separator(self) -> str:
        """A character, or ``blank``."""
        said = self._dialect.separator
        if said:
            return said
        line = self._first[1]
        return max(_GUESSED, key=lambda guess: (line.count(guess), guess == ","))

    def first_fields(self) -> list[str]:
        """The fields of the first line. Raises InputError if the file cannot be read."""
        return [field or "" for field in split(self._first[1], self.separator) or []]

    def names(self) -> list[str]:
        """The columns that the file names, or that are known of it. Raises InputError if it cannot be read."""
        known = list(self._dialect.names)
        if self._dialect.header != "auto":
            return self.first_fields() if self._dialect.header and not known else known
        if not self._has_header:
            return known
        as_known = {name.lower(): name for name in known}
        return [as_known.get(field.lower(), field) for field in self.first_fields()]

    @cached_property
    def _has_header(self) -> bool:
        if self._dialect.header != "auto":
            return self._dialect.header
        fields = self.first_fields()
        places = [self._dialect.names.index(name) for name in self._dialect.numbers]
        cells = [fields[place] for place in places if place < len(fields)]
        # A number that is damaged is a row's.
        return bool(cells) and all(cell and cell[0] not in "0123456789.+-" for cell in cells)

    def n_rows(self) -> int | None:
        """A text does not say."""
        return None

    def _is_comment(self, text: str, blanks: str) -> bool:
        return bool(self._dialect.comment) and text.lstrip(blanks).startswith(self._dialect.comment)

    @cached_property
    def _blanks(self) -> str:
        return _BLANKS.replace(self.separator, "")

    def _text(self, number: int, line: bytes) -> str:
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{self._path}: line {number}: is no text: {error}") from None
        if "\0" in text:
            raise InputError(f"{self._path}: line {number}: has a byte 0; expected text")
        if "\r" in text:
            # Rows of the old Macintosh would be one row, of which the first columns are there.
            raise InputError(f"{self._path}: line {number}: has a \\r within; expected lines that end in \\n or \\r\\n")
        return text

    def _places(self, wants: Sequence[Want]) -> list[int]:
        names = self.names()
        for want in wants:
            if want.column not in names and not want.column.isdecimal():
                # Of a known format: those of a table have been looked up before.
                raise InputError(
                    f"{self._path}: line {self._first[0]}: has no column {want.column!r}; expected the names "
                    f"{', '.join(self._dialect.names or names)}, or no line of names; --columns reads others"
                )
        return [names.index(want.column) if want.column in names else int(want.column) - 1 for want in wants]

    def _widths(self) -> tuple[int, int]:
        if self._dialect.n_fields is not None:
            least, most = self._dialect.n_fields
            return least, _MANY if most is None else most
        n = len(self._dialect.names) if self._dialect.names and not self._has_header else len(self.first_fields())
        return n, n

    def pieces(self, wants: Sequence[Want]) -> Iterator[Piece]:
        """The rows. Raises InputError where a line is none."""
        places = self._places(wants)
        widths = max(self._widths()[0], *(place + 1 for place in places)), self._widths()[1]
        # A line of names ends where the rows begin.
        n_lines, header = 0, self._first[0] if self._has_header else 0
        try:
            for text in read_pieces(self._path):
                first, n_lines = n_lines + 1, n_lines + count_lines(text)
                n_ahead = header - first + 1
                rows = text
                if n_ahead > 0:
                    parts = text.split(b"\n", n_ahead)
                    rows, first = parts[n_ahead] if len(parts) > n_ahead else b"", first + min(n_ahead, len(parts) - 1)
                elif first == 1:
                    rows = text.removeprefix(b"\xef\xbb\xbf")
                if rows:
                    yield from self._piece(rows, first, wants, places, widths)
        except DamagedError:
            # Line by line, to say after which one.
            rest = (line for line in read_lines(self._path, whole=True) if line[0] > max(n_lines, header))
            yield from self._carefully(rest, wants, places, widths)

    def _piece(
        self, rows: bytes, first: int, wants: Sequence[Want], places: list[int], widths: tuple[int, int]
    ) -> Iterator[Piece]:
        if not rows.endswith(b"\n"):
            rows += b"\n"
        found = None
        # Also what nobody wants has to be text: else it would depend on its neighbours whether a row is refused.
        if _is_text(rows):
            # As what is wanted, or, where a cell is none of that, as they are: the roles know what to do then.
            found = self._columns(rows, wants, places, widths)
            found = found or self._columns(rows, [replace(w, kind=max(w.kind, TEXT)) for w in wants], places, widths)
        if found is None:
            yield from self._carefully(lines_of(rows, first, whole=True), wants, places, widths)
        elif found[1]:
            yield Piece(*found, lambda row: f"line {self._line(rows, first, row)}")

    def _columns(
        self, rows: bytes, wants: Sequence[Want], places: list[int], widths: tuple[int, int]
    ) -> tuple[list[Any], int] | None:
        """The columns, and how many rows there are; None where a line is not of the usual form."""
        text = np.frombuffer(rows, np.uint8)
        order = sorted(range(len(wants)), key=lambda i: places[i])
        slots = np.array([[places[i], wants[i].kind, wants[i].scale] for i in order], np.int64).reshape(-1, 3)
        found = np.empty((len(wants), count_lines(text)), np.uint64)
        separator = BLANKS if self.separator == "blank" else ord(self.separator)
        comment = np.frombuffer(self._dialect.comment.encode(), np.uint8)
        n = fields(text, separator, comment, slots, *widths, found)
        if n < 0:
            return None
        columns: list[Any] = [None] * len(wants)
        for slot, i in enumerate(order):
            values = found[slot, :n]
            columns[i] = values.copy() if wants[i].kind < TEXT else gathered(text, values)
        return (columns, n) if all(column is not None for column in columns) else None

    def _line(self, rows: bytes, first: int, row: int) -> int:
        lines = lines_of(rows, first, whole=True)
        numbers = (number for number, line in lines if not self._is_comment(self._text(number, line), self._blanks))
        return next(islice(numbers, row, None))

    def _carefully(
        self, lines: Iterator[tuple[int, bytes]], wants: Sequence[Want], places: list[int], widths: tuple[int, int]
    ) -> Iterator[Piece]:
        """Line by line: what is before a bad one is yielded."""
        numbers: list[int] = []
        rows: list[list[str | None]] = []
        failed = None
        try:
            for number, line in lines:
                text = self._text(number, line)
                if self._is_comment(text, self._blanks):
                    continue
                rows.append(self._fields(number, text, places, widths))
                numbers.append(number)
        except InputError as error:
            failed = error
        if rows:
            import pyarrow as pa

            columns = [pa.array([row[i] for row in rows], pa.string()) for i in range(len(wants))]
            yield Piece(columns, len(rows), lambda row: f"line {numbers[row]}")
        if failed is not None:
            raise failed

    def _fields(self, number: int, text: str, places: list[int], widths: tuple[int, int]) -> list[str | None]:
        found = split(text, self.separator)
        where = f"{self._path}: line {number}"
        if found is None:
            raise InputError(f"{where}: a quote is not closed; got {text[:_LONGEST_SHOWN]!r}")
        least, most = widths
        if not least <= len(found) <= most:
            expected = f"{least}" if least == most else f"at least {least}" if most >= _MANY else f"{least} to {most}"
            raise InputError(
                f"{where}: has {len(found)} field{'s' * (len(found) != 1)}; expected {expected}; "
                f"got {text[:_LONGEST_SHOWN]!r}"
            )
        return [found[place] for place in places]
