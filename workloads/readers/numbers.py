"""Columns of keys, streams and requests as 64-bit numbers: whole numbers as they are, text hashed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from simulator.errors import InputError
from workloads.readers.columns import hashes

Numbered = npt.NDArray[np.uint64]
_EXACT = 2**53
_WHOLE = "a whole number from 0 to 2**64 - 1"


class NumberColumn:
    """A column of a table, batch by batch: whole numbers, or text, which is hashed unless it is numbers throughout."""

    def __init__(self, path: Path, name: str, role: str) -> None:
        self._path = path
        self._name = name
        self._role = role
        self._hashes = False

    def of(self, column: Any, first: int) -> Numbered:
        """The numbers of the rows from number ``first`` on.

        Raises:
            InputError: a value is missing, or neither text nor a whole number of 64 bits.
        """
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if pa.types.is_large_string(column.type):
            column = column.cast(pa.string())
        if column.null_count:
            raise self._bad(column, first, lambda value: value is None)
        if pa.types.is_string(column.type):
            return self._of_text(column, first)
        if pa.types.is_binary(column.type):
            return hashes(column)
        values: npt.NDArray[Any] = column.to_numpy(zero_copy_only=False)
        if values.dtype.kind not in "uif":
            raise InputError(
                f"{self._path}: column {self._name!r} holds {column.type}; expected whole numbers or text "
                f"({self._role})"
            )
        if values.dtype.kind == "f" and not ((values >= 0) & (values < _EXACT) & (values == np.floor(values))).all():
            expected = "a whole number from 0 to 2**53 - 1, up to which floating point is exact"
            raise self._bad(column, first, lambda value: not 0 <= value < _EXACT or value % 1 != 0, expected)
        if values.dtype.kind == "i" and (values < 0).any():
            raise self._bad(column, first, lambda value: value < 0)
        return values.astype(np.uint64)

    def _of_text(self, column: Any, first: int) -> Numbered:
        """Text that is a number is that number; what the first batch shows holds for the whole file."""
        if self._hashes:
            return hashes(column)
        try:
            found: Numbered = column.cast(pa.uint64()).to_numpy(zero_copy_only=False)
        except pa.ArrowInvalid:
            texts = column.to_pylist()
            if first:
                expected = f"{_WHOLE}, as in the rows before"
                raise self._bad(column, first, lambda text: not _fits(text), expected) from None
            if all(_is_whole(text) for text in texts):
                raise self._bad(column, first, lambda text: not _fits(text)) from None
            if any(_is_negative(text) for text in texts):
                raise self._bad(column, first, _is_negative) from None
            self._hashes = True
            return hashes(column)
        return found

    def _bad(
        self, column: Any, first: int, is_bad: Callable[[Any], bool], expected: str = f"{_WHOLE}, or text"
    ) -> InputError:
        """Of the first value that is bad."""
        values = column.to_pylist()
        at = next(i for i, value in enumerate(values) if is_bad(value))
        what = "is missing" if values[at] is None else f"is {values[at]!r}"
        return InputError(
            f"{self._path}: row {first + at + 1}: column {self._name!r} {what}; expected {expected} ({self._role})"
        )


def _is_whole(text: str) -> bool:
    return text.removeprefix("-").isdecimal()


def _is_negative(text: str) -> bool:
    return text[:1] == "-" and _is_whole(text)


def _fits(text: str) -> bool:
    """Whether Arrow takes a text for a whole number of 64 bits."""
    try:
        pa.scalar(text).cast(pa.uint64())
    except pa.ArrowInvalid:
        return False
    return True
