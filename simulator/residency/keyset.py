"""A set of block ids that costs 16 to 32 bytes a member, not the 100 of a Python set."""

import numpy as np

from simulator.compiled import compiled
from simulator.residency.blocks import home
from simulator.residency.layout import Ints, signed

# A table's entry: 0 is empty, 1 is a removed member; keys 0 and 1 are kept as flags of their own.
_EMPTY, _REMOVED = 0, 1


@compiled
def _find(table: Ints, key: int) -> int:
    mask = len(table) - 1
    at = home(key, mask)
    while table[at] != 0:
        if table[at] == key:
            return at
        at = (at + 1) & mask
    return -1


@compiled
def _put(table: Ints, key: int) -> None:
    mask = len(table) - 1
    at = home(key, mask)
    while table[at] != 0:
        at = (at + 1) & mask
    table[at] = key


@compiled
def _copy(old: Ints, new: Ints) -> int:
    n = 0
    for key in old:
        if key != 0 and key != 1:
            _put(new, key)
            n += 1
    return n


class KeySet:
    """A set of unsigned 64-bit integers."""

    def __init__(self) -> None:
        self._table: Ints = np.zeros(1024, np.int64)
        self._n_used = 0
        self.n_keys = 0
        self._small: set[int] = set()

    def __contains__(self, key: int) -> bool:
        if key <= _REMOVED:
            return key in self._small
        return bool(_find(self._table, signed(key)) >= 0)

    def add(self, key: int) -> None:
        """Put a key in; nothing happens if it is there."""
        if key in self:
            return
        self.n_keys += 1
        if key <= _REMOVED:
            self._small.add(key)
        else:
            if 2 * (self._n_used + 1) > len(self._table):
                # Mostly removed members: the same size will do once they are swept out.
                is_full = 4 * self.n_keys > len(self._table)
                larger = np.zeros(len(self._table) * (2 if is_full else 1), np.int64)
                self._n_used = int(_copy(self._table, larger))
                self._table = larger
            _put(self._table, signed(key))
            self._n_used += 1

    def discard(self, key: int) -> bool:
        """Take a key out; whether it was there."""
        if key not in self:
            return False
        self.n_keys -= 1
        if key <= _REMOVED:
            self._small.discard(key)
        else:
            self._table[_find(self._table, signed(key))] = _REMOVED
        return True
