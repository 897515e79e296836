"""Any table of text, Parquet or JSON lines, with a mapping of its columns."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from simulator.config import Strict
from simulator.errors import InputError
from workloads.readers.json_table import JsonTable
from workloads.readers.layout import Layout
from workloads.readers.parquet_table import ParquetTable
from workloads.readers.peek import first_record
from workloads.readers.raw import RawTable
from workloads.readers.row_format import RowFormat, suffix_of
from workloads.readers.text_table import SEPARATORS, Dialect, TextTable

OWN_NAMES = ("time_ns", "size_bytes", "stream", "request", "op")
"""Columns that mean what the schema of a trace says where a file has them and nobody says another."""
NONE = "-"
"""What says that a column of such a name is none of the trace's."""
_JSON = (".jsonl", ".json", ".ndjson")
_COMMENTS = ("#", "%", "//")
_MOST_DIGITS = 9


def _name(value: Any) -> Any:
    # By number, where a file has no line of names.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _is_number(part: str) -> bool:
    """Whether it may be that of a column: longer ones would not fit where they are counted."""
    return part.isascii() and part.isdecimal() and len(part) <= _MOST_DIGITS and int(part) > 0


_AS_NAME: dict[str, Any] = {"type": ["string", "integer"], "minLength": 1}
Name = Annotated[str, BeforeValidator(_name), Field(min_length=1), WithJsonSchema(_AS_NAME)]


class Columns(Strict):
    """The names or numbers (from 1) that a file gives to the columns of a trace.

    Several between ``+`` make one key, stream or request (``volume+offset``), or add up to one size. ``features`` are
    further columns for policies that ask for them.
    """

    key: Name
    """The column of keys; several between + make one."""
    time_ns: Name | None = None
    """The column of arrival times, in `time_unit`."""
    size_bytes: Name | None = None
    """The column of sizes, in `size_unit`; several add up."""
    stream: Name | None = None
    """The column of who accesses: a client, thread or GPU stream."""
    request: Name | None = None
    """The column of requests: accesses that share one are issued together."""
    op: Name | None = None
    """The column of operations: reads and writes."""
    repeat: Name | None = None
    """The column that says how often a row counts."""
    features: dict[str, Name] = Field(default_factory=dict)
    """Further columns by the names that policies ask for."""


class TableConfig(RowFormat):
    """CSV and other text (may be packed), Parquet or JSON lines, by the ending; ``columns`` says what is what.

    ``separator`` is a character, ``blank`` for any number of blanks, or told by the line of names. Without ``header``
    columns have numbers, from 1. Lines that start with ``comment`` are left out; rows of other lengths than the line of
    names are errors unless they may be ``ragged``.
    """

    kind: Literal["table"]
    columns: Columns
    """Which column is what, by name, or by number from 1."""
    separator: str = ""
    """What is between fields: a character, or blank, comma, semicolon, tab, pipe; empty: told by the first line."""
    header: bool = True
    """Whether the first line has the columns' names."""
    comment: str = ""
    """Lines that start so are left out."""
    ragged: bool = False
    """Whether rows may have more or fewer fields than the first."""
    name_parts: ClassVar[tuple[str, ...]] = (".csv", ".parquet", ".tsv")

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """By its ending; JSON lines also by an object in the first line. Formats that are known come first."""
        return super().recognises(path) or (suffix_of(path) in _JSON and bool(first_record(path)))

    def table(self) -> RawTable:
        """The file as a table, by its ending."""
        suffix = suffix_of(self.file)
        if suffix in (".parquet", *_JSON):
            if self.separator or not self.header or self.comment or self.ragged:
                raise InputError(f"{self.path}: is no text with separators; expected none of its settings")
            return ParquetTable(self.file) if suffix == ".parquet" else JsonTable(self.file)
        separator = SEPARATORS.get(self.separator, self.separator)
        is_bad = len(separator) > 1 or separator in ("\n", "\r", '"', "\0") or separator.isalnum()
        if separator != "blank" and (is_bad or not separator.isascii()):
            expected = ", ".join(SEPARATORS)
            raise InputError(f"{self.path}: separator {self.separator!r}; expected a character, or one of {expected}")
        ragged = (1, None) if self.ragged else None
        return TextTable(self.file, Dialect(separator, self.header, self.comment, ragged))

    def columns_of(self, names: Sequence[str]) -> Layout:
        """As the settings say, and the schema's own names. Raises InputError if a column is not there."""
        given = {name: column for name, column in self.columns if column is not None and name != "features"}
        for name in OWN_NAMES:
            if name in names:
                given.setdefault(name, name)
        given = {name: column for name, column in given.items() if column != NONE}
        if "key" not in given:
            raise InputError(f"{self.path}: columns.key: {NONE!r}; expected a column, as every access has a key")
        found = {name: self._parts(name, column, names) for name, column in given.items()}
        of_features = {name: self._parts(name, column, names) for name, column in self.columns.features.items()}
        for name, parts in (*of_features.items(), *((n, found.get(n, ())) for n in ("time_ns", "op", "repeat"))):
            if len(parts) > 1:
                raise InputError(f"{self.path}: columns.{name}: {'+'.join(parts)!r}; expected one column")
        features = {name: parts[0] for name, parts in of_features.items()}

        def one(name: str) -> str | None:
            return found[name][0] if name in found else None

        return Layout(
            key=found["key"], time=one("time_ns"), size=found.get("size_bytes", ()), op=one("op"),
            stream=found.get("stream", ()), request=found.get("request", ()), repeat=one("repeat"), features=features,
        )  # fmt: skip

    def _parts(self, name: str, column: str, names: Sequence[str]) -> tuple[str, ...]:
        parts = (column,) if column in names else tuple(part.strip() for part in column.split("+"))
        for part in parts:
            if names.count(part) > 1:
                raise InputError(f"{self.path}: column {part!r} is there {names.count(part)} times; expected one")
            if part in names:
                continue
            if self._has_numbers(names) and _is_number(part):
                self._check_number(name, int(part))
                continue
            raise InputError(self.no_such(name, part, names))
        return parts

    def _check_number(self, name: str, number: int) -> None:
        """Raises InputError if the first line has fewer columns than that."""
        table = self.table()
        if self.ragged or not isinstance(table, TextTable):
            return
        fields = table.first_fields()
        if number > len(fields):
            raise InputError(
                f"{self.path}: columns.{name}: {str(number)!r}; expected at most {len(fields)}, as many fields as its "
                f"first line has{self._undivided(fields)}"
            )

    def _undivided(self, fields: Sequence[str]) -> str:
        """What may help where the whole first line is one field."""
        if len(fields) != 1 or self.separator:
            return ""
        mark = next((mark for mark in _COMMENTS if fields[0].startswith(mark)), "")
        if mark and not self.comment:
            return f"; if it is a comment, --comment '{mark}' leaves such lines out"
        return "; --separator blank divides it at blanks" if len(fields[0].split()) > 1 else ""

    def _has_numbers(self, names: Sequence[str]) -> bool:
        return not names or not self.header

    def no_such(self, name: str, column: str, names: Sequence[str]) -> str:
        """What is said where a column is not there."""
        if not names or not self.header:
            return f"{self.path}: columns.{name}: {column!r}; expected a number from 1, as there is no line of names"
        if any(part.replace(".", "", 1).isdecimal() for part in names):
            shown = ",".join(names)
            return (
                f"{self.path}: has no column {column!r} (columns.{name}): its first line, {shown[:80]!r}, seems to be "
                "a row and no line of names; expected --no-header and columns by number, such as --columns key=5, or "
                "--format FORMAT, if it is one that `tierfetch trace formats` lists"
                f"{self._undivided(names)}"
            )
        shown = ", ".join(names)
        return (
            f"{self.path}: has no column {column!r} (columns.{name}); expected one of {shown}{self._undivided(names)}"
        )

    @property
    def has_times(self) -> bool:
        """If a column says them."""
        if self.columns.time_ns is not None:
            return self.columns.time_ns != NONE
        try:
            return "time_ns" in self.table().names()
        except InputError:
            # Reading it says what is the matter.
            return False
