"""JSON lines as tables: an object a line, whose names are columns; one column may hold a list of blocks."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import InputError
from workloads.readers.json_fields import objects
from workloads.readers.kinds import HEX, LIST, NUMBER, TEXT
from workloads.readers.lines import DamagedError, count_lines, lines_of, read_lines, read_pieces
from workloads.readers.raw import Piece, Want
from workloads.readers.text_table import gathered

_LONGEST_SHOWN = 80
Record = dict[str, Any]
Derived = Callable[[Record], Record | list[Record] | None]
_LIST = "a list of block numbers"


def _several(made: Record | list[Record] | None) -> list[Record]:
    return made if isinstance(made, list) else [] if made is None else [made]


def _as_wanted(column: list[Any], want: Want) -> Any:
    """Cells that were parsed one by one: numbers of a list as such, all else as text."""
    if want.is_list and want.kind == NUMBER and set(map(type, column)) == {int}:
        # What does not fit is for whoever reads the text to refuse.
        with suppress(OverflowError):
            return np.array(column, np.uint64)
    import pyarrow as pa

    return pa.array([cell if cell is None else str(cell) for cell in column], pa.string())


def _is_whole_text(text: str) -> bool:
    """Whether it has no half of a pair of UTF-16 by itself, which JSON can write and no text can hold."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


class JsonTable:
    """JSON lines as a table, plain or packed.

    ``derive`` makes a record of each, in order, or several, or none, for formats whose rows need others: then each is
    parsed by Python.
    """

    def __init__(self, path: Path, derive: Callable[[], Derived] | None = None) -> None:
        self._path = path
        self._derive = derive

    @cached_property
    def _first(self) -> Record:
        for number, line in read_lines(self._path):
            record = self._parsed(number, line)
            if self._derive is None:
                return record
            if made := _several(self._derive()(record)):
                return made[0]
        return {}

    def names(self) -> list[str]:
        """What the first object has. Raises InputError if it cannot be read."""
        return list(self._first)

    def n_rows(self) -> int | None:
        """A text does not say."""
        return None

    def _bad(self, number: int, line: bytes, what: str) -> InputError:
        shown = line[:_LONGEST_SHOWN].decode(errors="replace")
        return InputError(f"{self._path}: line {number}: {what}; got {shown!r}")

    def _parsed(self, number: int, line: bytes) -> Record:
        try:
            # Fractions as they were written: floating point would lose digits of a time.
            record = json.loads(line, parse_float=str, parse_constant=str)
        except (ValueError, RecursionError) as error:
            raise self._bad(number, line, f"is not JSON ({error})") from None
        if not isinstance(record, dict):
            raise self._bad(number, line, "expected an object")
        return record

    def pieces(self, wants: Sequence[Want]) -> Iterator[Piece]:
        """The rows. Raises InputError where a line is none."""
        lists = [i for i, want in enumerate(wants) if isinstance(self._first.get(want.column), list)]
        if len(lists) > 1:
            names = " and ".join(repr(wants[i].column) for i in lists)
            raise InputError(f"{self._path}: {names} are lists; expected at most one column of blocks")
        of_lists = lists[0] if lists else None
        for i, want in enumerate(wants):
            want.is_list = i == of_lists
        derived = self._derive() if self._derive is not None else None
        n_lines = 0
        try:
            for text in read_pieces(self._path):
                first, n_lines = n_lines + 1, n_lines + count_lines(text)
                yield from self._piece(text, first, wants, of_lists, derived)
        except DamagedError:
            rest = (line for line in read_lines(self._path) if line[0] > n_lines)
            yield from self._carefully(rest, wants, of_lists, derived)

    def _piece(
        self, rows: bytes, first: int, wants: Sequence[Want], of_lists: int | None, derived: Any
    ) -> Iterator[Piece]:
        text = np.frombuffer(rows, np.uint8)
        names = [want.column.encode() for want in wants]
        kinds = [LIST if i == of_lists else want.kind for i, want in enumerate(wants)]
        slots = np.array([[kind, want.scale] for kind, want in zip(kinds, wants, strict=True)], np.int64)
        n_most = count_lines(text) + 1
        found = np.empty((len(wants), n_most), np.uint64)
        counts = np.empty(n_most, np.int64)
        keys = np.empty(len(text) // 2 + 1 if of_lists is not None else 0, np.uint64)
        n = -1
        # Other items than whole numbers are for Python.
        is_usual = of_lists is None or wants[of_lists].kind == NUMBER
        if derived is None and is_usual and len(set(names)) == len(names):
            ends = np.cumsum([len(name) for name in names]).astype(np.int64)
            n, n_keys = objects(text, np.frombuffer(b"".join(names), np.uint8), ends, slots, found, keys, counts)
        if n < 0:
            yield from self._carefully(lines_of(rows, first), wants, of_lists, derived)
            return
        columns: list[Any] = []
        for i, kind in enumerate(kinds):
            if kind == LIST:
                columns.append(keys[:n_keys].copy())
            else:
                columns.append(gathered(text, found[i, :n]) if kind == TEXT else found[i, :n].copy())
        if n:
            yield Piece(
                columns, n, lambda row: f"line {[number for number, _ in lines_of(rows, first)][row]}",
                counts[:n].copy() if of_lists is not None else None,
            )  # fmt: skip

    def _carefully(
        self, lines: Iterator[tuple[int, bytes]], wants: Sequence[Want], of_lists: int | None, derived: Any
    ) -> Iterator[Piece]:
        """Line by line: what is before a bad one is yielded."""
        numbers: list[int] = []
        columns: list[list[Any]] = [[] for _ in wants]
        counts: list[int] = []
        failed = None
        try:
            for number, line in lines:
                record = self._parsed(number, line)
                for made in [record] if derived is None else _several(derived(record)):
                    cells = [self._cell(made, want, i == of_lists, number, line) for i, want in enumerate(wants)]
                    for column, cell in zip(columns, cells, strict=True):
                        if isinstance(cell, list):
                            column.extend(cell)
                            counts.append(len(cell))
                        else:
                            column.append(cell)
                    numbers.append(number)
        except InputError as error:
            failed = error
        if numbers:
            yield Piece(
                [_as_wanted(column, want) for column, want in zip(columns, wants, strict=True)],
                len(numbers),
                lambda row: f"line {numbers[row]}",
                np.array(counts, np.int64) if of_lists is not None else None,
            )
        if failed is not None:
            raise failed

    def _cell(self, record: Record, want: Want, is_list: bool, number: int, line: bytes) -> Any:
        value = record.get(want.column)
        if is_list:
            if not isinstance(value, list):
                raise self._bad(number, line, f"expected {want.column!r}, {_LIST}")
            if set(map(type, value)) == {int}:
                return value
            return [self._text(item, want, number, line) for item in value]
        return None if value is None else self._text(value, want, number, line)

    def _text(self, value: Any, want: Want, number: int, line: bytes) -> str:
        if isinstance(value, bool):
            if want.takes_truth:
                return str(value).lower()
        elif isinstance(value, int) and want.kind == HEX:
            # Numbers are numbers: hexadecimal is what text is taken for.
            return hex(value)
        elif isinstance(value, int) or (isinstance(value, str) and _is_whole_text(value)):
            return str(value)
        raise self._bad(
            number, line, f"{want.column!r} is {json.dumps(value)[:_LONGEST_SHOWN]}; expected a number or text"
        )
