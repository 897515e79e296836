"""What columns of a table mean: ids, times, sizes, operations. Each role takes cells and gives numbers, or the row."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from simulator.errors import InputError
from workloads.readers.cells import hexadecimal, quantity, whole
from workloads.readers.kinds import HEX, NUMBER, OPTIONAL, TEXT
from workloads.readers.raw import Piece, RowError, Want

# Arrow is imported where it is used: a config can be read without it.
Keys = Literal["auto", "number", "hex", "hash"]
Numbered = npt.NDArray[np.uint64]
END_BYTES = 2**62
_WHOLE = "a whole number from 0 to 2**64 - 1"
_EXACT_BITS = {16: 11, 32: 24, 64: 53}
"""Of the whole numbers that floating point of so many bits holds, every one."""
# A letter e among digits alone may also be one of a hexadecimal id.
_LIKE_A_NUMBER = re.compile(r"[+-]?[0-9][0-9_]*(\.[0-9]*([eE][+-]?[0-9]+)?|[eE][+-][0-9]+)?", re.ASCII)


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
            if pa.types.is_binary(cells.type) or pa.types.is_fixed_size_binary(cells.type):
                return self._of_bytes(cells, piece)
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

    def _of_bytes(self, cells: Any, piece: Piece) -> Numbered:
        """Of hashes as they were written: their own. Of numbers in letters, as older writers have text: numbers."""
        if self._mode == "auto" and len(cells):
            first = cells[0].as_py().decode("ascii", "replace")
            self._mode = "number" if whole(first) is not None or _is_like_a_number(first) else "hash"
        if self._mode == "hash":
            return self._hashes(cells)
        taken = hexadecimal if self._mode == "hex" else whole
        return self._each(cells, piece, lambda cell: taken(cell.decode("ascii", "replace")), _WHOLE)

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
    """Whether somebody meant a number, be it between blanks or as 1.5e+09: a word as good as that is an error."""
    return isinstance(text, str) and _LIKE_A_NUMBER.fullmatch(text.strip()) is not None


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
