"""Columns of any type as numbers: Python sees each different value of a batch once, not each row."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt


def distinct(column: Any) -> tuple[list[Any], npt.NDArray[np.int64]]:
    """(Values in order of their first appearance, for each row the index of its own).

    What Python takes for equal and Arrow does not may be there several times.
    """
    import pyarrow as pa

    try:
        if pa.types.is_dictionary(column.type):
            # Its own values may be in any order, repeated or unused.
            column = column.dictionary_decode()
        if pa.types.is_floating(column.type):
            # Not a number is to Python as many values as there are rows of it, to Arrow one.
            raise pa.ArrowNotImplementedError
        encoded = column.dictionary_encode(null_encoding="encode")
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid, pa.ArrowTypeError):
        # Types that it cannot compare, such as lists.
        return column.to_pylist(), np.arange(len(column))
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def _mapped(column: Any, function: Callable[[Any], int], dtype: Any) -> Any:
    values, rows = distinct(column)
    return np.array([function(value) for value in values], dtype)[rows]


def hashes(column: Any, texts: dict[int, str] | None = None) -> npt.NDArray[np.uint64]:
    """64 bits of BLAKE2b of each value's text; ``texts`` takes the text of each hash."""
    import pyarrow as pa

    from workloads.readers.blake import digests

    if pa.types.is_string(column.type) and not column.null_count:
        encoded = column.dictionary_encode()
        values, rows = encoded.dictionary, encoded.indices.to_numpy(zero_copy_only=False)
    else:
        found, rows = distinct(column)
        values = pa.array([str(value) for value in found], pa.string())
    # Buffers may begin before the values do, and be none where there is nothing in them.
    _, offsets, data = values.buffers()
    starts = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1]
    numbers = np.empty(len(values), np.uint64)
    digests(np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8), starts, numbers)
    if texts is not None:
        texts.update(zip(numbers.tolist(), values.to_pylist(), strict=True))
    hashed: npt.NDArray[np.uint64] = numbers[rows]
    return hashed


class Indices:
    """Gives ids indices by first appearance, from 0, over all batches. Reading the same again gives the same ones."""

    def __init__(self) -> None:
        self._indices: dict[int, int] = {}

    def of(self, ids: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint32]:
        """The index of each row's id."""
        import pyarrow as pa

        known = self._indices
        found: npt.NDArray[np.uint32] = _mapped(pa.array(ids), lambda v: known.setdefault(v, len(known)), np.uint32)
        return found

    @property
    def ids(self) -> npt.NDArray[np.uint64]:
        """The id of each index so far."""
        return np.array(list(self._indices), np.uint64)
