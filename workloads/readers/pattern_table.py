"""Texts that are no separated tables: each line fits a pattern, whose groups are the columns."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import InputError
from workloads.readers.fields import TEXT, fields
from workloads.readers.lines import DamagedError, count_lines, lines_of, read_lines, read_pieces
from workloads.readers.raw import Piece, Want
from workloads.readers.text_table import gathered

_LONGEST = 1 << 12
"""A line that is longer is no row: patterns may take the square of its length."""
_LONGEST_SHOWN = 80
_LEFT = "left_out_"
_NONE = "no_row"


@dataclass(frozen=True)
class Grammar:
    """The lines of a text, as patterns of whole lines in ASCII; blanks at a line's end do not count.

    The named groups of ``row`` are the columns: they hold no tab. ``left_out`` has rows that are not read, by the
    reason; ``no_row`` is what is not counted, such as comments. These have no groups. With ``header`` the first line is
    that, and no row.
    """

    row: str
    expected: str
    """What a row is, for messages."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    no_row: str = ""
    header: str = ""


class PatternTable:
    """A text, plain or packed, by the first of ``grammars`` whose header its first line is."""

    def __init__(self, path: Path, *grammars: Grammar) -> None:
        self._path, self._grammars = path, grammars

    @cached_property
    def _chosen(self) -> tuple[Grammar, int]:
        """The grammar, and the number of the line that is its header (0: none)."""
        number, line = next(read_lines(self._path))
        text = line.removeprefix(b"\xef\xbb\xbf").decode("latin-1")
        for grammar in self._grammars:
            if not grammar.header:
                return grammar, 0
            if re.fullmatch(grammar.header, text):
                return grammar, number
        expected = " or ".join(repr(grammar.header) for grammar in self._grammars)
        raise InputError(f"{self._path}: line {number}: is {text[:_LONGEST_SHOWN]!r}; expected {expected}")

    @cached_property
    def _pattern(self) -> re.Pattern[bytes]:
        grammar = self._chosen[0]
        left = {f"{_LEFT}{i}": pattern for i, pattern in enumerate(grammar.left_out.values())}
        if grammar.no_row:
            left[_NONE] = grammar.no_row
        parts = [f"(?:{grammar.row})", *(f"(?P<{name}>{pattern})" for name, pattern in left.items())]
        return re.compile(f"(?:{'|'.join(parts)})[ \\t\\r]*".encode("latin-1"))

    def names(self) -> list[str]:
        """The groups. Raises InputError if the file cannot be read, or has no known header."""
        return [name for name in self._pattern.groupindex if not name.startswith((_LEFT, _NONE))]

    def n_rows(self) -> int | None:
        """A text does not say."""
        return None

    def pieces(self, wants: Sequence[Want]) -> Iterator[Piece]:
        """The rows. Raises InputError where a line is neither one nor to be left out."""
        header, n_lines = self._chosen[1], 0
        try:
            for text in read_pieces(self._path):
                first, n_lines = n_lines + 1, n_lines + count_lines(text)
                lines = text.removeprefix(b"\xef\xbb\xbf") if first == 1 else text
                yield from self._piece(list(lines_of(lines, first, whole=True)), header, wants)
        except DamagedError:
            rest: list[tuple[int, bytes]] = []
            failed = None
            try:
                rest.extend(line for line in read_lines(self._path, whole=True) if line[0] > n_lines)
            except InputError as error:
                failed = error
            yield from self._piece(rest, header, wants)
            if failed is not None:
                raise failed from None

    def _piece(self, lines: list[tuple[int, bytes]], header: int, wants: Sequence[Want]) -> Iterator[Piece]:
        """What is before a bad line is yielded."""
        columns = tuple(want.column for want in wants)
        match = self._pattern.fullmatch
        rows: list[Any] = []
        numbers: list[int] = []
        kinds: Counter[str | None] = Counter()
        failed = None
        for number, line in lines:
            found = match(line) if len(line) <= _LONGEST else None
            if found is None:
                if number == header:
                    continue
                failed = self._bad(number, line)
                break
            kind = found.lastgroup
            if kind is not None and kind.startswith((_LEFT, _NONE)):
                kinds[kind] += 1
            else:
                rows.append(found.group(*columns))
                numbers.append(number)
        why = list(self._chosen[0].left_out)
        left_out = {why[int(kind[len(_LEFT) :])]: n for kind, n in kinds.items() if kind is not None and kind != _NONE}
        if rows or left_out:
            made: list[Any] | None = None
            if rows:
                # A group alone comes without a tuple.
                rows = [(row,) for row in rows] if len(columns) == 1 else rows
                made = self._parsed(rows, wants)
                if made is None:
                    made, failed = self._cells(rows, numbers, failed)
            yield Piece(made or [], len(made[0]) if made else 0, lambda row: f"line {numbers[row]}", None, left_out)
        if failed is not None:
            raise failed

    def _parsed(self, rows: list[Any], wants: Sequence[Want]) -> list[Any] | None:
        """Columns of what is wanted; None if some cell is of another kind."""
        if any(cell is None for cell in rows[0]):
            return None
        try:
            lines = b"\n".join(map(b"\t".join, rows)) + b"\n"
        except TypeError:
            return None
        if b'"' in lines:
            return None
        text = np.frombuffer(lines, np.uint8)
        slots = np.array([[i, want.kind, want.scale] for i, want in enumerate(wants)], np.int64)
        found = np.empty((len(wants), len(rows)), np.uint64)
        if fields(text, ord("\t"), np.empty(0, np.uint8), slots, len(wants), len(wants), found) != len(rows):
            return None
        columns = [found[i].copy() if want.kind < TEXT else gathered(text, found[i]) for i, want in enumerate(wants)]
        return None if any(column is None for column in columns) else columns

    def _cells(
        self, rows: list[Any], numbers: list[int], failed: InputError | None
    ) -> tuple[list[Any] | None, InputError | None]:
        """Columns of text as it is, up to a row that is none."""
        import pyarrow as pa

        texts: list[list[str | None]] = []
        for row, number in zip(rows, numbers, strict=True):
            try:
                texts.append([cell.decode() if cell else None for cell in row])
            except UnicodeDecodeError as error:
                failed = InputError(f"{self._path}: line {number}: is no text: {error}")
                break
        if not texts:
            return None, failed
        return [pa.array(column, pa.string()) for column in zip(*texts, strict=True)], failed

    def _bad(self, number: int, line: bytes) -> InputError:
        shown = line[:_LONGEST_SHOWN].decode(errors="replace")
        return InputError(f"{self._path}: line {number}: is {shown!r}; expected {self._chosen[0].expected}")
