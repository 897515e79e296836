"""Records: named fields laid over an array of int64, the same in compiled code, in Python and in NumPy.

A class that derives from Record declares its fields by annotations, each of which is

- ``int`` or ``At[R]``: one word, the latter the place of a record of the class R, or NONE;
- another record: its words;
- ``Annotated[Ints, n]`` or ``Annotated[Sequence[R], n]``: n words, or n records, by index.

From the declaration come ``words``, the number of words; ``dtype``, by which NumPy sees rows of them; the attributes,
by which Python reads and writes the array itself; and the record that ``view`` opens in compiled code, where a field
costs what an element of the array does: Numba's value of a record is its address.

A place is a number of words from the start of the memory that a record lies in. Arrays that grow are moved, places are
not.
"""

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, ClassVar, TypeVar, cast, get_args, get_origin

import numpy as np
import numpy.typing as npt
from numba import types

from simulator.arrays import At, Ints
from simulator.compiled import CHECKED, INTS, internal, lowered
from simulator.records import checked
from simulator.records.types import RecordType

R = TypeVar("R", bound="Record")


class _Word:
    def __init__(self, offset: int) -> None:
        self.offset = offset

    def __get__(self, record: "Record | None", owner: type) -> Any:
        return self if record is None else int(record.ints[record.place + self.offset])

    def __set__(self, record: "Record", value: int) -> None:
        record.ints[record.place + self.offset] = value


class _Nested:
    def __init__(self, offset: int, of: type["Record"]) -> None:
        self.offset, self._of = offset, of

    def __get__(self, record: "Record | None", owner: type) -> Any:
        return self if record is None else self._of(record.ints, record.place + self.offset)


class _Array:
    def __init__(self, offset: int, n: int) -> None:
        self.offset, self._n = offset, n

    def __get__(self, record: "Record | None", owner: type) -> Any:
        if record is None:
            return self
        first = record.place + self.offset
        return record.ints[first : first + self._n]


class _Records:
    def __init__(self, offset: int, n: int, of: type["Record"]) -> None:
        self.offset, self._n, self._of = offset, n, of

    def __get__(self, record: "Record | None", owner: type) -> Any:
        if record is None:
            return self
        first = record.place + self.offset
        return [self._of(record.ints, first + i * self._of.words) for i in range(self._n)]


class Record:
    """A record, as Python sees it: where it lies in which array."""

    words: ClassVar[int] = 0
    dtype: ClassVar[np.dtype[Any]] = np.dtype([])
    nested: ClassVar[dict[str, type["Record"]]] = {}
    memory: ClassVar[str] = "own"
    __slots__ = ("ints", "place")

    def __init__(self, ints: Ints, place: int) -> None:
        """The record at a place of an array."""
        self.ints = ints
        self.place: At[Any] = place  # type: ignore[assignment]

    def __init_subclass__(cls, line: int = 1, memory: str = "own") -> None:
        """Lay the fields out, one after another, and behind them as many as make up whole multiples of ``line``.

        ``memory`` says who else writes these words (``types.MEMORIES``).
        """
        cls.memory = memory
        fields: list[Any] = [(name, cls.dtype[name]) for name in cls.dtype.names or ()]
        words = sum(dtype.itemsize for _, dtype in fields) // 8
        cls.nested = dict(cls.nested)
        for name, annotation in inspect.get_annotations(cls).items():
            field: Any
            dtype: Any
            if hasattr(annotation, "__metadata__"):
                n, of = annotation.__metadata__[0], get_args(annotation.__origin__)
                if get_origin(annotation.__origin__) is Sequence:
                    field, dtype = _Records(words, n, of[0]), np.dtype((of[0].dtype, (n,)))
                    cls.nested[name] = of[0]
                else:
                    field, dtype = _Array(words, n), np.dtype((np.int64, (n,)))
            elif isinstance(annotation, type) and issubclass(annotation, Record):
                field, dtype = _Nested(words, annotation), annotation.dtype
                cls.nested[name] = annotation
            else:
                field, dtype = _Word(words), np.dtype(np.int64)
            setattr(cls, name, field)
            fields.append((name, dtype))
            words += dtype.itemsize // 8
        cls.words = -(-words // line) * line
        offsets = np.cumsum([0, *(dtype.itemsize for _, dtype in fields)]).tolist()
        cls.dtype = np.dtype(
            {
                "names": [name for name, _ in fields],
                "formats": [dtype for _, dtype in fields],
                "offsets": offsets[:-1],
                "itemsize": cls.words * 8,
            }
        )

    @classmethod
    def word(cls, name: str) -> int:
        """How many words lie before a field."""
        offset: int = getattr(cls, name).offset
        return offset

    @classmethod
    def as_rows(cls, ints: Ints) -> npt.NDArray[Any]:
        """An array of whole records, as a structured one: the columns have the fields' names."""
        return ints.view(cls.dtype)

    def __repr__(self) -> str:
        values = {name: getattr(self, name) for name in type(self).dtype.names or ()}
        return f"{type(self).__name__}({self.place}: {values})"


@cache
def numba_type(of: Any) -> RecordType:
    """How compiled code sees the records of a class."""
    nested = {name: numba_type(other) for name, other in of.nested.items()}
    return RecordType(f"{of.__module__}.{of.__qualname__}", of.dtype, nested, of.memory)


def view(of: type[R]) -> Callable[[Any, At[R]], R]:
    """What opens, in compiled code, the record of that class at a place.

    The place counts from the record or the array (by address) that is given first, which is the first in its memory.
    """
    record = numba_type(cast(Any, of))

    def open_(typing: Any, base: Any, place: Any) -> Any:
        def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            words = builder.bitcast(arguments[0], context.get_value_type(INTS))
            return builder.bitcast(builder.gep(words, [arguments[1]]), context.get_value_type(record))

        return record(base, types.int64), lower

    return lowered(open_, checked.view(of))


def nth(of: type[R]) -> Callable[[Any, At[R], int], R]:
    """What opens, in compiled code, one of several records of that class that lie one behind another.

    It takes what the first view takes, the place of the first one, and how many lie before the one that is wanted.
    """
    record = numba_type(cast(Any, of))

    def open_(typing: Any, base: Any, first: Any, i: Any) -> Any:
        def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            words = builder.bitcast(arguments[0], context.get_value_type(INTS))
            skipped = builder.mul(arguments[2], arguments[2].type(of.words))
            place = builder.add(arguments[1], skipped)
            return builder.bitcast(builder.gep(words, [place]), context.get_value_type(record))

        return record(base, types.int64, types.int64), lower

    return lowered(open_, checked.nth(of))


def first(of: type[R]) -> Callable[[int], R]:
    """What opens, in compiled code, the record of that class that lies at an address."""
    record = numba_type(cast(Any, of))

    def open_(typing: Any, address: Any) -> Any:
        def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(record))

        return record(types.int64), lower

    return lowered(open_, checked.first(of))


def _words_of(typing: Any, base: Any) -> Any:
    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(INTS))

    return INTS(base), lower


def _from_place(typing: Any, base: Any, place: Any) -> Any:
    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        words = builder.bitcast(arguments[0], context.get_value_type(INTS))
        return builder.gep(words, [arguments[1]])

    return INTS(base, types.int64), lower


from_place: Callable[[Any, int], Ints] = lowered(_from_place, checked.from_place)
"""The memory from a place on, as an array by address, in compiled code: tables, of which nothing is a record."""

words_of: Callable[[Any], Ints] = lowered(_words_of, checked.words_of)
"""The memory that a record is the first of, as an array by address, in compiled code."""


if CHECKED:
    note = checked.note
else:

    @internal
    def note(base: Any, place: int, is_live: bool) -> None:
        """A record of a pool is taken or given back: where rules run as plain Python, that is looked after."""
