"""Stack distances of a stream of keys, exactly, in memory that grows with the distinct keys and not with the stream.

The stack distance of an access is the number of other distinct keys since the last access to its own: an LRU cache of
more blocks than that hits (Mattson et al. 1970). Times of last accesses are marked in a Fenwick tree, whose marks after
such a time are that number (Bennett and Kruskal 1975); when the times run out they are numbered anew, without gaps.
"""

import numpy as np
import numpy.typing as npt

from simulator.arrays import NONE, Ints, home
from simulator.compiled import compiled, internal

_FIRST_SIZE = 1 << 17
Keys = npt.NDArray[np.uint64]


@internal
def _mark(tree: Ints, time: int, by: int) -> None:
    while time < len(tree):
        tree[time] += by
        time += time & -time


@internal
def _marks_until(tree: Ints, time: int) -> int:
    n = 0
    while time > 0:
        n += tree[time]
        time -= time & -time
    return n


@internal
def _place(table: Keys, times: Ints, key: int) -> int:
    mask = len(table) - 1
    at = home(key, mask)
    while times[at] != 0 and table[at] != np.uint64(key):
        at = (at + 1) & mask
    return at


@compiled
def _distances(keys: Keys, table: Keys, times: Ints, tree: Ints, clock: int, n_keys: int, out: Ints) -> int:
    """Fill in the distances of accesses, the first at time ``clock``; how many keys there are now."""
    for i in range(len(keys)):
        at = _place(table, times, np.int64(keys[i]))  # type: ignore[arg-type]
        if times[at] == 0:
            table[at] = keys[i]
            out[i] = NONE
            n_keys += 1
        else:
            out[i] = n_keys - _marks_until(tree, times[at])
            _mark(tree, times[at], -1)
        times[at] = clock + i
        _mark(tree, clock + i, 1)
    return n_keys


@compiled
def _copy(old: Keys, old_times: Ints, table: Keys, times: Ints) -> None:
    for i in range(len(old)):
        if old_times[i] != 0:
            at = _place(table, times, np.int64(old[i]))  # type: ignore[arg-type]
            table[at], times[at] = old[i], old_times[i]


class StackDistances:
    """Takes a stream in pieces of any length; about 50 bytes a distinct key stay in memory."""

    def __init__(self) -> None:
        self.n_keys = 0
        # An open-addressing table, at most half full: a key and the time of its last access, from 1 on; 0 is no entry.
        self._table: Keys = np.zeros(_FIRST_SIZE, np.uint64)
        self._times: Ints = np.zeros(_FIRST_SIZE, np.int64)
        self._tree: Ints = np.zeros(_FIRST_SIZE + 1, np.int64)
        self._clock = 1

    def of(self, keys: Keys) -> Ints:
        """The distance of each of the next accesses, NONE for the first of a key."""
        self._make_room(len(keys))
        found = np.empty(len(keys), np.int64)
        self.n_keys = int(_distances(keys, self._table, self._times, self._tree, self._clock, self.n_keys, found))
        self._clock += len(keys)
        return found

    def _make_room(self, n: int) -> None:
        most = self.n_keys + n
        if 2 * most > len(self._table):
            size = 1 << (2 * most - 1).bit_length()
            table, times = np.zeros(size, np.uint64), np.zeros(size, np.int64)
            _copy(self._table, self._times, table, times)
            self._table, self._times = table, times
        if self._clock + n > len(self._tree):
            self._renumber(n)

    def _renumber(self, n: int) -> None:
        """Times in the same order, without gaps, and room for ``n`` more and as many again."""
        at = np.flatnonzero(self._times)
        at = at[np.argsort(self._times[at])]
        self._times[at] = np.arange(1, len(at) + 1)
        size = 1 << max(2 * (len(at) + n) - 1, _FIRST_SIZE - 1).bit_length()
        places = np.arange(size + 1)
        # Of a tree with a mark on each of the first times: node i covers the (i & -i) times up to i.
        self._tree = np.minimum(places, len(at)) - np.minimum(places - (places & -places), len(at))
        self._clock = len(at) + 1
