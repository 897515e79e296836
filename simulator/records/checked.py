"""Records where rules run as plain Python: whoever opens one where none of its kind lies is told.

Memory has regions, each of rows of one class. A row is opened where one lies, or not at all; of a pool's records only
those that are taken. All of this costs nothing in compiled code, where it does not exist.
"""

import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.compiled import CHECKED, array_at, owner_of


class WrongRecordError(AssertionError):
    """No such record lies there: a bug in the engine, never in the user's input."""


class _Region(NamedTuple):
    """Rows of a class: the first and the last place of one, how far they are apart, how far into a pool's record."""

    first: int
    last: int
    step: int
    within: int | None

    def has(self, place: int) -> bool:
        return self.first <= place <= self.last and (place - self.first) % self.step == 0


class _Memory:
    def __init__(self) -> None:
        self.regions: dict[type, list[_Region]] = {}
        self.taken: set[int] = set()
        self.is_sealed = False


_MEMORIES: dict[int, tuple[Any, _Memory]] = {}


def _memory(ints: npt.NDArray[np.int64]) -> _Memory:
    address, owner = int(ints.ctypes.data), owner_of(ints)
    found = _MEMORIES.get(address)
    if found is None or found[0]() is not owner:
        found = _MEMORIES[address] = weakref.ref(owner), _Memory()
    return found[1]


def declare(
    ints: npt.NDArray[np.int64],
    of: Any,
    place: int,
    n: int,
    *,
    is_pool: bool = False,
    step: int | None = None,
    within: int = 0,
) -> None:
    """From a place on there are so many rows of a class, ``step`` words apart where they do not fill the region.

    ``is_pool``: to be opened when they are taken; or if the record of a pool is that begins ``within`` words before.
    """
    if CHECKED:
        step = of.words if step is None else step
        region = _Region(place, place + (n - 1) * step, step, within if is_pool else None)
        _memory(ints).regions.setdefault(of, []).append(region)


def seal(ints: npt.NDArray[np.int64]) -> None:
    """No records lie there but of the classes that were declared: others are not to be opened."""
    if CHECKED:
        _memory(ints).is_sealed = True


def withdraw(ints: npt.NDArray[np.int64], of: type, place: int) -> None:
    """The rows of a class that begin at a place are somewhere else now."""
    if CHECKED:
        memory = _memory(ints)
        memory.regions[of] = [region for region in memory.regions.get(of, []) if region.first != place]


def carry(old: npt.NDArray[np.int64], new: npt.NDArray[np.int64]) -> None:
    """An array has been copied into a larger one, in which places are the same."""
    if CHECKED:
        memory = _memory(old)
        _MEMORIES[int(new.ctypes.data)] = weakref.ref(owner_of(new)), memory


def _ints_of(base: Any) -> Any:
    return base if isinstance(base, np.ndarray) else base.ints


def view(of: Any) -> Callable[[Any, Any], Any]:
    """Open a record of that class at a place of the memory that ``base`` is the first of."""

    def open_(base: Any, place: Any) -> Any:
        ints = _ints_of(base)
        place = int(place)
        if not 0 <= place <= ints.size - of.words:
            raise WrongRecordError(f"{of.__name__} at {place}: beyond the memory, which has {ints.size} words")
        memory = _memory(ints)
        regions = memory.regions.get(of, [] if memory.is_sealed else None)
        if regions is not None:
            region = next((region for region in regions if region.has(place)), None)
            if region is None:
                raise WrongRecordError(f"{of.__name__} at {place}: there is none")
            if region.within is not None and place - region.within not in memory.taken:
                raise WrongRecordError(f"{of.__name__} at {place}: it was given back")
        return of(ints, place)

    return open_


def nth(of: Any) -> Callable[[Any, Any, int], Any]:
    """Open one of several records of that class that lie one behind another."""
    open_ = view(of)
    return lambda base, first, i: open_(base, int(first) + int(i) * of.words)


def first(of: Any) -> Callable[[int], Any]:
    """Open the record of that class that an array begins with, by the array's address."""

    def open_(address: int) -> Any:
        return of(array_at(address), 0)

    return open_


def from_place(base: Any, place: int) -> Any:
    """The array that a record lies in, from a place on."""
    return _ints_of(base)[place:]


def words_of(base: Any) -> Any:
    """The array that a record lies in."""
    return _ints_of(base)


def note(base: Any, place: int, is_live: bool) -> None:
    """A record of a pool is taken, or given back."""
    memory = _memory(_ints_of(base))
    if is_live == (place in memory.taken):
        raise WrongRecordError(f"record at {place}: {'taken' if is_live else 'given back'} twice")
    (memory.taken.add if is_live else memory.taken.discard)(int(place))
