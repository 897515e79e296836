"""Columns of any type as numbers: Python sees each different value of a batch once, not each row."""

import hashlib
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_WRITE_WORDS = {"1", "w", "write", "set", "put", "s", "store", "true"}
_UNLIKE = (pa.ArrowNotImplementedError, pa.ArrowInvalid, pa.ArrowTypeError)
"""What Arrow raises for types that it cannot compare, such as lists."""


def _distinct(column: Any) -> tuple[list[Any], npt.NDArray[np.int64]]:
    """(Values in order of their first appearance, for each row the index of its own).

    What Python takes for equal and Arrow does not may be there several times.
    """
    try:
        if pa.types.is_dictionary(column.type):
            # Its own values may be in any order, repeated or unused.
            column = column.dictionary_decode()
        if pa.types.is_floating(column.type):
            # Not a number is to Python as many values as there are rows of it, to Arrow one.
            raise pa.ArrowNotImplementedError
        encoded = column.dictionary_encode(null_encoding="encode")
    except _UNLIKE:
        return column.to_pylist(), np.arange(len(column))
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def _mapped(column: Any, function: Callable[[Any], int], dtype: Any) -> Any:
    values, rows = _distinct(column)
    return np.array([function(value) for value in values], dtype)[rows]


def are_writes(column: Any) -> npt.NDArray[np.bool_]:
    """Whether each value is a word (or number) for a write; all others are reads."""
    found: npt.NDArray[np.bool_] = _mapped(column, lambda value: str(value).lower() in _WRITE_WORDS, bool)
    return found


def hashes(column: Any) -> npt.NDArray[np.uint64]:
    """64 bits of BLAKE2b of each value's text."""

    def hashed(value: Any) -> int:
        return int.from_bytes(hashlib.blake2b(str(value).encode(), digest_size=8).digest(), "little")

    found: npt.NDArray[np.uint64] = _mapped(column, hashed, np.uint64)
    return found


class Numbers:
    """Numbers values by first appearance, from 0, over all batches."""

    def __init__(self) -> None:
        self._numbers: dict[Any, int] = {}

    def of(self, column: Any) -> npt.NDArray[np.uint32]:
        """The number of each row's value."""
        numbers = self._numbers
        found: npt.NDArray[np.uint32] = _mapped(column, lambda v: numbers.setdefault(v, len(numbers)), np.uint32)
        return found


class Runs:
    """Numbers runs of equal values, from 0, over all batches."""

    def __init__(self) -> None:
        self._last: Any = None
        self._number = -1

    def of(self, column: Any) -> npt.NDArray[np.uint64]:
        """The number of each row's run."""
        is_new = np.empty(len(column), bool)
        is_new[0] = self._number < 0 or column[0].as_py() != self._last
        is_new[1:] = _differ_from_previous(column)
        numbers = self._number + np.cumsum(is_new)
        self._last, self._number = column[len(column) - 1].as_py(), int(numbers[-1])
        return numbers.astype(np.uint64)


def _differ_from_previous(column: Any) -> Any:
    """Of each row but the first, whether its value is another than that of the row before."""
    try:
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        before, after = column[:-1], column[1:]
        # Nulls are equal to each other and to nothing else.
        one_is_null = pc.xor(before.is_null(), after.is_null())
        return pc.or_(pc.not_equal(before, after).fill_null(False), one_is_null).to_numpy(zero_copy_only=False)
    except _UNLIKE:
        values = column.to_pylist()
        return np.array([b != a for a, b in itertools.pairwise(values)], bool)
