"""Traces with a record a line: decoded in pieces, line by line where a piece has anything unusual in it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from simulator.errors import InputError
from simulator.trace import Batch, make_batch
from workloads.readers.files import BROKEN, RECORDS, FileWorkload, open_binary

PIECE_BYTES = 1 << 20
_BLANKS = b" \t\r\n"
LONGEST_LINE = 1 << 24
"""A line that is longer is none of a trace: it would be held in memory whole."""
Text = npt.NDArray[np.uint8]
Columns = dict[str, Any]
Row = TypeVar("Row")


class DamagedError(Exception):
    """The file cannot be unpacked any further, or has no end of a line."""


def read_lines(path: Path, *, whole: bool = False) -> Iterator[tuple[int, bytes]]:
    """(Line number from 1, line without its end) of every line that is not blank; ``whole`` keeps blanks around it.

    Raises:
        InputError: the file is missing, damaged or has no line.
    """
    n_lines = 0
    with open_binary(path) as file:
        number = 0
        while True:
            try:
                line = file.readline(LONGEST_LINE + 1)
            except BROKEN as error:
                raise InputError(f"{path}: damaged after line {number}: {error}") from None
            if not line:
                break
            number += 1
            if len(line) > LONGEST_LINE:
                raise InputError(f"{path}: line {number} is longer than {LONGEST_LINE >> 20} MiB; expected a record")
            if line.strip(_BLANKS if whole else None):
                n_lines += 1
                yield number, line.rstrip(b"\r\n") if whole else line.strip()
    if n_lines == 0:
        raise _empty(path)


def _empty(path: Path) -> InputError:
    return InputError(f"{path}: is empty; expected at least one line")


def count_lines(text: "bytes | Text") -> int:
    """How many ends of lines there are."""
    return int(np.count_nonzero(np.frombuffer(text, np.uint8) == ord("\n")))


def read_pieces(path: Path) -> Iterator[bytes]:
    """Whole lines, about ``PIECE_BYTES`` at once; the last may lack its end.

    Raises:
        DamagedError: where it cannot be read on.
    """
    with open_binary(path) as file:
        parts: list[bytes] = []
        while True:
            try:
                more = file.read(PIECE_BYTES)
            except BROKEN:
                raise DamagedError from None
            if not more:
                break
            end = more.rfind(b"\n") + 1
            if end:
                yield b"".join([*parts, more[:end]])
                parts = []
            parts.append(more[end:])
            if sum(map(len, parts)) > LONGEST_LINE:
                raise DamagedError
        if any(parts):
            yield b"".join(parts)


def lines_of(piece: bytes, first: int, *, whole: bool = False) -> Iterator[tuple[int, bytes]]:
    """As ``read_lines``, of a piece that begins with line ``first``."""
    for number, line in enumerate(piece.split(b"\n"), first):
        if line.strip(_BLANKS if whole else None):
            yield number, line.rstrip(b"\r") if whole else line.strip()


class TextWorkload(FileWorkload, Generic[Row]):
    """A trace with a record a line. What a record is, ``_parse`` says; ``_decode`` says the same of many, faster."""

    def _parse(self, number: int, line: bytes) -> Row | None:
        """One line, which is not blank; None if it is to be skipped. Raises InputError if it is bad."""
        raise NotImplementedError

    def _decode(self, text: Text, first_record: int) -> tuple[Columns, int] | None:
        """The columns of many lines, and how many records they are; None if a line is bad, or not of the usual form."""
        raise NotImplementedError

    def _columns(self, rows: list[Row], first_record: int) -> Columns:
        """The columns of parsed lines."""
        raise NotImplementedError

    def _read(self) -> Iterator[Batch]:
        n_lines = n_records = n_made = 0
        is_empty = True

        def batch(columns: Columns) -> Iterator[Batch]:
            nonlocal n_made
            if len(columns["key"]):
                made = make_batch(columns.pop("key"), n_made, **columns)
                n_made += len(made)
                yield made

        def carefully(lines: Iterator[tuple[int, bytes]]) -> Iterator[Batch]:
            nonlocal n_records
            failed = None
            while failed is None:
                rows: list[Row] = []
                try:
                    for number, line in lines:
                        row = self._parse(number, line)
                        if row is not None:
                            rows.append(row)
                            if len(rows) == RECORDS:
                                break
                except InputError as error:
                    failed = error
                if rows:
                    # What is before a bad line is still to be had: a piece of the trace may end there.
                    yield from batch(self._columns(rows, n_records))
                    n_records += len(rows)
                elif failed is None:
                    return
            raise failed

        try:
            for piece in read_pieces(self.path):
                is_empty = is_empty and piece.isspace()
                decoded = self._decode(np.frombuffer(piece, np.uint8), n_records)
                if decoded is None:
                    yield from carefully(lines_of(piece, n_lines + 1))
                else:
                    yield from batch(decoded[0])
                    n_records += decoded[1]
                n_lines += piece.count(b"\n")
        except DamagedError:
            # Line by line from the start, to say after which one.
            yield from carefully(line for line in read_lines(self.path) if line[0] > n_lines)
            return
        if is_empty:
            raise _empty(self.path)
