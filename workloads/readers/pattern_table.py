"""Texts that are no separated tables: each line fits a pattern, whose groups are the columns."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import InputError
from workloads.readers.fields import fields
from workloads.readers.kinds import TEXT
from workloads.readers.lines import DamagedError, count_lines, lines_of, read_lines, read_pieces
from workloads.readers.raw import Piece, Want
from workloads.readers.text_table import gathered

_LONGEST = 1 << 12
"""A line that is longer is no row: patterns may take the square of its length."""
_LONGEST_SHOWN = 80
_LEFT = "left_out_"


@dataclass(frozen=True)
class Grammar:
    r"""The lines of a text, as patterns of whole lines, byte by byte; blanks at a line's end do not count.

    The named groups of ``row`` are the columns: they hold no tab, and the first is never empty. ``left_out`` has rows
    that are not read, by the reason; ``no_row`` is what is not counted, such as comments. These have no groups. None
    fits the end of a line (``\s``), as many lines are looked at together. With ``header`` the first line is that, and
    no row.
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
        """Of a line: a row, what is left out, or no row; its columns come first, of which a row has the first."""
        grammar = self._chosen[0]
        left = [f"(?P<{_LEFT}{i}>{pattern})" for i, pattern in enumerate(grammar.left_out.values())]
        # A blank line is no row.
        parts = [f"(?:{grammar.row})", *left, f"(?:{grammar.no_row})?"]
        return re.compile(f"^(?:{'|'.join(parts)})[ \\t\\r]*$".encode("latin-1"), re.MULTILINE)

    def names(self) -> list[str]:
        """The groups. Raises InputError if the file cannot be read, or has no known header."""
        return [name for name in self._pattern.groupindex if not name.startswith(_LEFT)]

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
                if header >= first:
                    parts = lines.split(b"\n", header - first + 1)
                    lines, first = b"\n".join(parts[header - first + 1 :]), header + 1
                yield from self._piece(lines.removesuffix(b"\n"), first, wants)
        except DamagedError:
            # Line by line, to say after which one.
            rest = (line for line in read_lines(self._path, whole=True) if line[0] > max(n_lines, header))
            yield from self._carefully(rest, wants)

    def _piece(self, text: bytes, first: int, wants: Sequence[Want]) -> Iterator[Piece]:
        """Whole lines, without the last one's end."""
        ends = np.flatnonzero(np.frombuffer(text, np.uint8) == ord("\n"))
        longest = int(np.diff(ends, prepend=-1, append=len(text)).max()) - 1
        found = self._pattern.findall(text) if longest <= _LONGEST else []
        if len(found) == len(ends) + 1:
            yield from self._made(found, lambda row: first + _places_of_rows(found)[row], wants)
        else:
            yield from self._carefully(lines_of(text, first, whole=True), wants)

    def _carefully(self, lines: Iterator[tuple[int, bytes]], wants: Sequence[Want]) -> Iterator[Piece]:
        """Line by line: what is before a bad one is yielded."""
        found: list[Any] = []
        numbers: list[int] = []
        failed = None
        try:
            for number, line in lines:
                match = self._pattern.fullmatch(line) if len(line) <= _LONGEST else None
                if match is None:
                    raise self._bad(number, line)
                found.append(match.groups(b""))
                numbers.append(number)
        except InputError as error:
            failed = error
        yield from self._made(found, lambda row: numbers[_places_of_rows(found)[row]], wants)
        if failed is not None:
            raise failed

    def _made(self, found: list[Any], number: Callable[[int], int], wants: Sequence[Want]) -> Iterator[Piece]:
        """What was found in some lines; ``number`` is that of a row's line."""
        groups = self._pattern.groupindex
        if len(groups) == 1:
            found = [(group,) for group in found]
        left_out = {}
        for i, why in enumerate(self._chosen[0].left_out):
            group = groups[f"{_LEFT}{i}"] - 1
            left_out[why] = sum(1 for line in found if line[group])
        places = [groups[want.column] - 1 for want in wants]
        # Tuples, as lists would be gone through by every collection of garbage; of one place alone there would be none.
        cells = itemgetter(*places, places[0])
        rows = [cells(line) for line in found if line[0]]
        columns, failed = self._parsed(rows, wants) if rows else [], None
        if columns is None:
            columns, failed = self._cells(rows, len(wants), number)
        yield Piece(columns, len(columns[0]) if columns else 0, lambda row: f"line {number(row)}", None, left_out)
        if failed is not None:
            raise failed

    def _parsed(self, rows: list[Any], wants: Sequence[Want]) -> list[Any] | None:
        """Columns of what is wanted; None if some cell is of another kind."""
        lines = b"\n".join(map(b"\t".join, rows)) + b"\n"
        if b'"' in lines:
            return None
        text = np.frombuffer(lines, np.uint8)
        slots = np.array([[i, want.kind, want.scale] for i, want in enumerate(wants)], np.int64)
        found = np.empty((len(wants), len(rows)), np.uint64)
        n_fields = len(wants) + 1
        if fields(text, ord("\t"), np.empty(0, np.uint8), slots, n_fields, n_fields, found) != len(rows):
            return None
        columns = [found[i].copy() if want.kind < TEXT else gathered(text, found[i]) for i, want in enumerate(wants)]
        return None if any(column is None for column in columns) else columns

    def _cells(self, rows: list[Any], n: int, number: Callable[[int], int]) -> tuple[list[Any], InputError | None]:
        """Columns of text as it is, up to a row that is none, and why."""
        import pyarrow as pa

        texts: list[list[str | None]] = []
        failed = None
        for row in rows:
            try:
                texts.append([cell.decode() if cell else None for cell in row[:n]])
            except UnicodeDecodeError as error:
                failed = InputError(f"{self._path}: line {number(len(texts))}: is no text: {error}")
                break
        return [pa.array(column, pa.string()) for column in zip(*texts, strict=True)], failed

    def _bad(self, number: int, line: bytes) -> InputError:
        shown = line[:_LONGEST_SHOWN].decode(errors="replace")
        return InputError(f"{self._path}: line {number}: is {shown!r}; expected {self._chosen[0].expected}")


def _places_of_rows(found: list[Any]) -> list[int]:
    return [place for place, line in enumerate(found) if line[0]]
