"""What columns of a table mean: ids, times, sizes, operations. Each role takes cells and gives numbers, or the row."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from simulator.errors import InputError
from workloads.readers.cells import hexadecimal, quantity, scaled, whole
from workloads.readers.kinds import DECIMAL, HEX, NUMBER, OPTIONAL, TEXT
from workloads.readers.raw import Piece, RowError, Want

# Arrow is imported where it is used: a config can be read without it.
Keys = Literal["auto", "number", "hex", "hash"]
TimeUnit = Literal["ns", "us", "ms", "s", "100ns", "filetime"]
Numbered = npt.NDArray[np.uint64]
POWERS = {"ns": 0, "us": 3, "ms": 6, "s": 9}
_TICK_NS = 100
FILETIME_EPOCH = 116_444_736_000_000_000
"""1970 in ticks of 100 ns since 1601."""
END_NS = 2**62
END_BYTES = 2**62
_WHOLE = "a whole number from 0 to 2**64 - 1"
_EXACT_BITS = {16: 11, 32: 24, 64: 53}
"""Of the whole numbers that floating point of so many bits holds, every one."""
_LIKE_A_NUMBER = re.compile(r"[+-]?[0-9][0-9_]*(\.[0-9]*)?([eE][+-]?[0-9]+)?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


class Role:
    """A column with a meaning. ``of`` takes what a table has of it."""

    def __init__(self, path: Any, name: str, column: str, kind: int = NUMBER, scale: int = 0) -> None:
        self._path = path
        self._name = name
        self.want = Want(column, kind, scale)

    def bad(self, piece: Piece, row: int, value: Any, expected: str) -> InputError:
        """Of a cell."""
        what = "is missing" if value is None else f"is {_shown(value)}"
        if self.want.is_list:
            row = int(np.searchsorted(np.cumsum(piece.counts), row, side="right"))
        where = f"{self._path}: {piece.where(row)}: column {self.want.column!r}"
        return RowError(row, f"{where} {what}; expected {expected} ({self._name})")

    def _each(self, cells: Any, piece: Piece, taken: Callable[[Any], int | None], expected: str) -> Numbered:
        values = cells.to_pylist()
        found = [taken(value) for value in values]
        for row, number in enumerate(found):
            if number is None:
                raise self.bad(piece, row, values[row], expected)
        return np.array(found, np.uint64)

    def _plain(self, cells: Any, piece: Piece, expected: str) -> Any:
        """Arrow's cells without what only Arrow minds: categories, large texts. Raises InputError on a missing one."""
        import pyarrow as pa

        if pa.types.is_dictionary(cells.type):
            cells = cells.dictionary_decode()
        if pa.types.is_large_string(cells.type) or pa.types.is_string_view(cells.type):
            cells = cells.cast(pa.string())
        if isinstance(cells, pa.ChunkedArray):
            cells = cells.combine_chunks()
        if cells.null_count:
            raise self.bad(piece, int(np.flatnonzero(cells.is_null())[0]), None, expected)
        return cells

    def of(self, cells: Any, piece: Piece) -> Any:
        """The numbers of some rows. Raises InputError on a cell that is none."""
        raise NotImplementedError

    def _numbers(self, cells: Any, piece: Piece, expected: str) -> Numbered | None:
        """Whole numbers of Arrow's; None if it has other things. Raises InputError on one that is negative."""
        import pyarrow as pa

        if pa.types.is_integer(cells.type):
            values: npt.NDArray[Any] = cells.to_numpy(zero_copy_only=False)
            if values.dtype.kind == "i" and len(values) and int(values.min()) < 0:
                row = int(np.flatnonzero(values < 0)[0])
                raise self.bad(piece, row, int(values[row]), expected)
            return values.astype(np.uint64)
        if pa.types.is_floating(cells.type):
            values = cells.to_numpy(zero_copy_only=False).astype(np.float64)
            bits = _EXACT_BITS[cells.type.bit_width]
            good = (values >= 0) & (values < 2**bits) & (values == np.floor(values))
            if not good.all():
                row = int(np.flatnonzero(~good)[0])
                raise self.bad(piece, row, float(values[row]), f"{expected}; floating point is exact up to 2**{bits}")
            return values.astype(np.uint64)
        return None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


class Ids(Role):
    """Keys, streams, requests and features: whole numbers as they are, text hashed to 64 bits (BLAKE2b).

    Without more said the first row tells which it is, and all others have to be so: a number among words, or a word
    among numbers, is an error.
    """

    def __init__(self, path: Any, name: str, column: str, keys: Keys = "auto") -> None:
        super().__init__(path, name, column, {"hex": HEX, "hash": TEXT}.get(keys, NUMBER))
        self._said = keys
        self._mode: Keys = keys
        self.texts: dict[int, str] | None = None
        """The text of each id that was hashed, where somebody wants them."""

    @property
    def hashed(self) -> bool:
        """Whether its ids are hashes of text."""
        return self._mode == "hash"

    def of(self, cells: Any, piece: Piece) -> Numbered:
        """The numbers of some rows. Raises InputError on a cell that is none."""
        if isinstance(cells, np.ndarray):
            self._mode = "number" if self._mode == "auto" else self._mode
            return cells
        import pyarrow as pa

        expected = f"{_WHOLE}, or text" if self._mode == "auto" else _WHOLE
        cells = self._plain(cells, piece, expected)
        if not pa.types.is_string(cells.type):
            if self._mode == "hash":
                return self._hashes(cells)
            if self._said == "auto" and (pa.types.is_binary(cells.type) or pa.types.is_fixed_size_binary(cells.type)):
                self._mode = "hash"
                return self._hashes(cells)
            found = self._numbers(cells, piece, _WHOLE)
            if found is None:
                raise InputError(
                    f"{self._path}: column {self.want.column!r} holds {cells.type}; expected whole numbers or text "
                    f"({self._name})"
                )
            self._mode = "number" if self._mode == "auto" else self._mode
            return found
        if self._mode == "auto" and len(cells):
            first = cells[0].as_py()
            looks_whole = whole(first) is not None or _is_like_a_number(first)
            self._mode = "number" if looks_whole else "hash"
            self.want.kind = NUMBER if looks_whole else TEXT
        if self._mode == "hex":
            return self._each(cells, piece, hexadecimal, "a hexadecimal number of 64 bits")
        if self._mode == "number":
            other = "" if self._said == "number" or self._name != "key" else "; --keys hash takes all for text"
            return self._each(cells, piece, whole, f"{_WHOLE}{other}")
        if self._said == "auto":
            self._check_text(cells, piece)
        return self._hashes(cells)

    def _check_text(self, cells: Any, piece: Piece) -> None:
        import pyarrow.compute as pc

        numeric = pc.match_substring_regex(cells, "^([0-9]+|0[xX][0-9a-fA-F]+)$")
        if pc.any(numeric).as_py():
            row = int(np.flatnonzero(numeric.to_numpy(zero_copy_only=False))[0])
            other = "; --keys hash takes all for text, --keys hex for hexadecimal" if self._name == "key" else ""
            raise self.bad(piece, row, cells[row].as_py(), f"text that is no number, as in the rows before{other}")

    def _hashes(self, cells: Any) -> Numbered:
        from workloads.readers.columns import hashes

        return hashes(cells, self.texts)


def _is_like_a_number(text: Any) -> bool:
    """Whether somebody meant a number: a word as good as that is an error, not text."""
    return isinstance(text, str) and _LIKE_A_NUMBER.fullmatch(text) is not None


class Times(Role):
    """Times as ns: whole numbers or fractions of a unit, dates with times of day, Arrow's own kinds of either."""

    def __init__(self, path: Any, column: str, unit: TimeUnit = "ns") -> None:
        self._unit = unit
        self._power = POWERS.get(unit, 0)
        super().__init__(path, "time_ns", column, DECIMAL if self._power else NUMBER, self._power)
        self._epoch: int | None = None if unit == "filetime" else 0
        self._is_date: bool | None = None
        self._with_zone: bool | None = None

    def of(self, cells: Any, piece: Piece) -> npt.NDArray[np.int64]:
        """The times of some rows. Raises InputError on a cell that is none."""
        if isinstance(cells, np.ndarray):
            self._is_date = False
            # Of a decimal times its power of ten; of a whole number not yet.
            unit_ns = 1 if self.want.kind == DECIMAL else 10**self._power
            return self._ns(cells, piece, unit_ns)
        import pyarrow as pa

        expected = f"a time in {self._unit}, or a date with a time of day"
        cells = self._plain(cells, piece, expected)
        if pa.types.is_temporal(cells.type):
            return self._temporal(cells, piece)
        if pa.types.is_string(cells.type):
            if self._is_date is None and len(cells):
                self._is_date = _DATE.match(cells[0].as_py()) is not None
                if self._is_date:
                    self.want.kind = TEXT
            if self._is_date:
                return self._dates(cells, piece)
            if not self._power:
                expected = f"a whole number of {self._unit}; --time-unit says another"
            return self._ns(self._each(cells, piece, self._of_text, expected), piece, 1)
        if pa.types.is_floating(cells.type):
            values = cells.to_numpy(zero_copy_only=False).astype(np.float64) * 10**self._power
            good = (values >= 0) & (values < END_NS)
            if not self._power:
                good &= values == np.floor(values)
            if not good.all():
                row = int(np.flatnonzero(~good)[0])
                raise self.bad(piece, row, cells[row].as_py(), self._expected())
            return self._ns(np.rint(values).astype(np.uint64), piece, 1)
        found = self._numbers(cells, piece, self._expected())
        if found is None:
            raise InputError(f"{self._path}: column {self.want.column!r} holds {cells.type}; expected times (time_ns)")
        return self._ns(found, piece, 10**self._power)

    def _of_text(self, cell: str) -> int | None:
        return scaled(cell, self._power) if self._power else quantity(cell)

    def _expected(self) -> str:
        ticks = _TICK_NS if self._unit in ("100ns", "filetime") else 1
        end = (END_NS - 1) // (ticks * 10**self._power)
        epoch = self._epoch or 0
        return f"a number of {self._unit} from {epoch} to {end + epoch}"

    def _ns(self, values: Numbered, piece: Piece, unit_ns: int) -> npt.NDArray[np.int64]:
        if self._unit in ("100ns", "filetime"):
            if self._epoch is None and len(values):
                # Ticks since the start of a recording are no dates.
                self._epoch = FILETIME_EPOCH if int(values[0]) >= FILETIME_EPOCH else 0
            epoch = self._epoch or 0
            wrong = values < np.uint64(epoch)
            given, values, unit_ns = values, values - np.uint64(epoch), _TICK_NS
        else:
            given, wrong = values, np.zeros(len(values), bool)
        wrong |= values > np.uint64((END_NS - 1) // unit_ns)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            said: int | str = int(given[row])
            if self._power and unit_ns == 1:
                # As it is in the file.
                said = f"{Decimal(said).scaleb(-self._power).normalize():f}"
            raise self.bad(piece, row, said, self._expected())
        return (values * np.uint64(unit_ns)).astype(np.int64)

    def _temporal(self, cells: Any, piece: Piece) -> npt.NDArray[np.int64]:
        import pyarrow as pa

        kind = cells.type
        if pa.types.is_time(kind):
            cells = cells.cast(pa.time64("ns"))
        elif pa.types.is_duration(kind):
            cells = _cast(cells, pa.duration("ns"))
        elif pa.types.is_timestamp(kind):
            cells = _cast(cells, pa.timestamp("ns", kind.tz))
        elif pa.types.is_date(kind):
            cells = _cast(cells, pa.timestamp("ns"))
        else:
            cells = None
        if cells is None:
            raise InputError(
                f"{self._path}: column {self.want.column!r} holds {kind}, some of it too far from 1970; expected times "
                "that fit into ns (time_ns)"
            )
        values = cells.cast(pa.int64()).to_numpy(zero_copy_only=False)
        return self._in_range(values, cells, piece)

    def _in_range(self, values: Any, cells: Any, piece: Piece) -> npt.NDArray[np.int64]:
        wrong = (values < 0) | (values >= END_NS)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise self.bad(piece, row, str(cells[row]), "a time from 1970 to 2116")
        return np.asarray(values, np.int64)

    def _dates(self, cells: Any, piece: Piece) -> npt.NDArray[np.int64]:
        import pyarrow as pa

        kinds = [pa.timestamp("ns", "UTC" if zone else None) for zone in (False, True)]
        for zone, kind in enumerate(kinds):
            made = _cast(cells, kind) if self._with_zone in (None, bool(zone)) else None
            if made is not None:
                self._with_zone = bool(zone) if len(cells) else self._with_zone
                return self._in_range(made.cast(pa.int64()).to_numpy(zero_copy_only=False), cells, piece)
        for row, cell in enumerate(cells.to_pylist()):
            if all(_cast(pa.array([cell]), kind) is None for kind in kinds):
                raise self.bad(piece, row, cell, "a date with a time of day, as in the first row")
        raise self.bad(piece, 0, cells[0].as_py(), "dates with a zone throughout, or without one")


def _cast(cells: Any, kind: Any) -> Any:
    """Cells as another type; None where some of them are none."""
    import pyarrow as pa

    try:
        return cells.cast(kind)
    except pa.ArrowInvalid:
        return None


class Quantities(Role):
    """Sizes and repetitions: whole numbers, as they are or as 4096.0."""

    def __init__(self, path: Any, name: str, column: str, unit_bytes: int = 1) -> None:
        super().__init__(path, name, column)
        self._unit = unit_bytes

    def of(self, cells: Any, piece: Piece) -> npt.NDArray[np.int64]:
        """The quantities of some rows, times the unit. Raises InputError on a cell that is none."""
        expected = f"a whole number from 0 to {(END_BYTES - 1) // self._unit}"
        if isinstance(cells, np.ndarray):
            values = cells
        else:
            import pyarrow as pa

            cells = self._plain(cells, piece, expected)
            if pa.types.is_string(cells.type):
                values = self._each(cells, piece, quantity, expected)
            else:
                found = self._numbers(cells, piece, expected)
                if found is None:
                    raise InputError(
                        f"{self._path}: column {self.want.column!r} holds {cells.type}; expected whole numbers "
                        f"({self._name})"
                    )
                values = found
        wrong = values > np.uint64((END_BYTES - 1) // self._unit)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise self.bad(piece, row, int(values[row]), expected)
        return (values * np.uint64(self._unit)).astype(np.int64)


class Words(Role):
    """Operations by their words, which a mapping turns into numbers; how often each came is counted.

    A cell may be empty where the mapping has a word without letters.
    """

    def __init__(self, path: Any, column: str, known: Mapping[str, int]) -> None:
        super().__init__(path, "op", column, OPTIONAL if "" in known else TEXT)
        self.want.takes_truth = True
        self._known = known
        self.counts: dict[str, int] = {}

    def of(self, cells: Any, piece: Piece) -> npt.NDArray[np.int64]:
        """What each row's word is mapped to; -1 for one that is unknown."""
        import pyarrow as pa

        from workloads.readers.columns import distinct

        if isinstance(cells, np.ndarray):
            cells = pa.array(cells)
        if "" in self._known and pa.types.is_string(cells.type):
            cells = cells.fill_null("")
        cells = self._plain(cells, piece, "a word")
        values, rows = distinct(cells)
        words = [str(value) for value in values]
        for word, n in zip(words, np.bincount(rows, minlength=len(words)).tolist(), strict=True):
            self.counts[word] = self.counts.get(word, 0) + n
        return np.array([self.meaning(word) for word in words], np.int64)[rows]

    def meaning(self, word: str) -> int:
        """What a word is mapped to; -1 if it is unknown. Behind a dot are details: ``putChunk.Permanent``."""
        low = word.lower()
        return self._known.get(low, self._known.get(low.partition(".")[0], -1))
