"""Stack distances of a stream of keys, exactly, in memory that grows with the distinct keys and not with the stream.

The stack distance of an access is how many other distinct keys, or how many bytes of them, came since the last access
to its own: an LRU cache hits where that and the block itself fit in (Mattson et al. 1970). Times of last accesses are
marked in a row of bits, and sums over ever wider stretches of it (a tree of 16 branches) say how many marks lie behind
such a time: Bennett and Kruskal's (1975) tree, made for processor caches. When the times run out they are numbered
anew, without gaps.

Chunks of a stream can be gone through side by side (PARDA: Niu et al. 2012). What a chunk cannot say are the distances
of its first accesses to each key: these are looked up in what lies before it, in order (``absorb``).
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from simulator.arrays import NONE, Ints, spot
from simulator.compiled import address_of, internal, ints_at, lowered, released, soon

_LEAST_KEYS, _LEAST_TIMES = 1 << 16, 1 << 18
_BRANCHES = 16
_AHEAD = 16
"""How many accesses beforehand the processor is told which entry of the table comes."""
_UNTIMED = -1
RESIZED = -1
Keys = npt.NDArray[np.uint64]


def _ones(typing: Any, word: Any) -> Any:
    def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), lower


ones = lowered(_ones, lambda word: int(word).bit_count())
"""How many bits of a word are set."""


@internal
def _add(tree: Ints, n: int, leaf: int, by: int) -> None:
    level = 0
    while n > 0:
        tree[level + leaf] += by
        level += n
        n >>= 4
        leaf >>= 4


@internal
def _between(tree: Ints, n: int, leaf: int, end: int) -> int:
    """The sum of the leaves behind one, where there is nothing behind ``end``."""
    level, total = 0, 0
    while leaf != end:
        for i in range(leaf + 1, min(leaf | (_BRANCHES - 1), end) + 1):
            total += tree[level + i]
        level += n
        n >>= 4
        leaf >>= 4
        end >>= 4
    return total


@internal
def _behind(bits: Keys, tree: Ints, by_bytes: bool, time: int, end: int) -> int:
    """Marks behind a time, or their bytes; there are none behind the time ``end``."""
    if by_bytes:
        return _between(tree, len(bits) << 6, time, end)
    leaf = time >> 6
    inside: int = ones((bits[leaf] >> np.uint64(time & 63)) >> np.uint64(1))
    return inside + _between(tree, len(bits), leaf, end >> 6)


@internal
def _mark(bits: Keys, tree: Ints, by_bytes: bool, time: int, size: int) -> None:
    bits[time >> 6] |= np.uint64(1) << np.uint64(time & 63)
    if by_bytes:
        _add(tree, len(bits) << 6, time, size)
    else:
        _add(tree, len(bits), time >> 6, 1)


@internal
def _unmark(bits: Keys, tree: Ints, by_bytes: bool, time: int, size: int) -> None:
    bits[time >> 6] &= ~(np.uint64(1) << np.uint64(time & 63))
    if by_bytes:
        _add(tree, len(bits) << 6, time, -size)
    else:
        _add(tree, len(bits), time >> 6, -1)


@internal
def _place(table: Ints, mask: int, key: int) -> int:
    """Where a key and, after it, its time are; 0 is no time."""
    at = spot(key, mask)
    while table[2 * at + 1] != 0 and table[2 * at] != key:
        at = (at + 1) & mask
    return 2 * at


@released
def _distances(
    keys: Ints, sizes: Ints, address: int, mask: int, bits: Keys, tree: Ints, by_bytes: bool, clock: int, out: Ints
) -> int:
    """Fill in the distances of accesses, the first at time ``clock``; how many keys are new, or RESIZED."""
    table, n_new, size = ints_at(address), 0, 1
    for i in range(len(keys)):
        soon(table, 2 * spot(keys[min(i + _AHEAD, len(keys) - 1)], mask))
        at = _place(table, mask, keys[i])
        time, now = table[at + 1], clock + i
        if by_bytes:
            size = sizes[i]
        if time == 0:
            table[at] = keys[i]
            out[i] = NONE
            n_new += 1
        else:
            if by_bytes and tree[time] != size:
                return RESIZED
            out[i] = _behind(bits, tree, by_bytes, time, now)
            _unmark(bits, tree, by_bytes, time, size)
        table[at + 1] = now
        _mark(bits, tree, by_bytes, now, size)
    return n_new


@released
def _firsts(
    keys: Ints, sizes: Ints, address: int, mask: int, bits: Keys, tree: Ints, by_bytes: bool, clock: int, out: Ints
) -> int:
    """The distances of accesses to distinct keys, which are looked up and taken off; how many are new, or RESIZED."""
    table, n_new, size, before = ints_at(address), 0, 1, 0
    for i in range(len(keys)):
        soon(table, 2 * spot(keys[min(i + _AHEAD, len(keys) - 1)], mask))
        at = _place(table, mask, keys[i])
        time = table[at + 1]
        if by_bytes:
            size = sizes[i]
        if time == 0:
            table[at], table[at + 1] = keys[i], _UNTIMED
            out[i] = NONE
            n_new += 1
        else:
            if by_bytes and tree[time] != size:
                return RESIZED
            out[i] = before + _behind(bits, tree, by_bytes, time, clock - 1)
            _unmark(bits, tree, by_bytes, time, size)
        before += size
    return n_new


@released
def _lasts(
    keys: Ints, sizes: Ints, address: int, mask: int, bits: Keys, tree: Ints, by_bytes: bool, clock: int, out: Ints
) -> None:
    """Mark keys that are known at the next times; nothing is filled in."""
    table, size = ints_at(address), 1
    for i in range(len(keys)):
        soon(table, 2 * spot(keys[min(i + _AHEAD, len(keys) - 1)], mask))
        if by_bytes:
            size = sizes[i]
        table[_place(table, mask, keys[i]) + 1] = clock + i
        _mark(bits, tree, by_bytes, clock + i, size)


@released
def _copy(address: int, n: int, to: int, mask: int) -> None:
    old, table = ints_at(address), ints_at(to)
    for i in range(n):
        if old[2 * i + 1] != 0:
            at = _place(table, mask, old[2 * i])
            table[at], table[at + 1] = old[2 * i], old[2 * i + 1]


@released
def _renumber(address: int, n: int, bits: Keys, before: Ints, keys: Ints) -> None:
    """Give each key its rank as time, from 1; ``before`` are the marks ahead of each word. The keys, by rank."""
    table = ints_at(address)
    for i in range(n):
        time = table[2 * i + 1]
        if time != 0:
            word = time >> 6
            below = bits[word] & ((np.uint64(1) << np.uint64(time & 63)) - np.uint64(1))
            rank = before[word] + ones(below)
            table[2 * i + 1] = rank + 1
            keys[rank] = table[2 * i]


class Chunk(NamedTuple):
    """What has to be known of a stretch of a stream to go on behind it: its keys with their sizes, in two orders."""

    first: Keys
    """By first access."""
    first_sizes: Ints
    last: Keys
    """By last access."""
    last_sizes: Ints


class ResizedError(Exception):
    """A key came with another size than before: LRU by bytes is no stack then."""


class StackDistances:
    """Takes a stream in pieces of any length; up to 70 bytes a distinct key stay, 130 ``by_bytes``."""

    def __init__(self, *, by_bytes: bool = False) -> None:
        self.n_keys = 0
        self._by_bytes = by_bytes
        # An open-addressing table, at most half full: keys, each with the time of its last access, from 1 on.
        self._table: Ints = np.zeros(4 * _LEAST_KEYS, np.int64)
        self._clock = 1
        self._number(np.empty(0, np.int64), _LEAST_TIMES)

    def of(self, keys: Keys, sizes: Ints | None = None) -> Ints:
        """The distance of each of the next accesses, NONE for the first of a key.

        Raises:
            ResizedError: of a key ``by_bytes`` whose size changes.
        """
        self._make_room(len(keys))
        found = np.empty(len(keys), np.int64)
        self.n_keys += _checked(_distances(*self._given(keys, sizes, found)))
        self._clock += len(keys)
        return found

    def absorb(self, chunk: Chunk) -> Ints:
        """The distances of the first accesses to each key of the next stretch, of which no more has to be known.

        Raises:
            ResizedError: as ``of`` does.
        """
        self._make_room(len(chunk.first))
        found = np.empty(len(chunk.first), np.int64)
        self.n_keys += _checked(_firsts(*self._given(chunk.first, chunk.first_sizes, found)))
        _lasts(*self._given(chunk.last, chunk.last_sizes, found))
        self._clock += len(chunk.last)
        return found

    def by_last_access(self) -> tuple[Keys, Ints]:
        """All keys by their last access, with their sizes."""
        sizes = self._renumber(0)
        return self._ordered.view(np.uint64), sizes

    def _given(self, keys: Keys, sizes: Ints | None, found: Ints) -> Any:
        given = np.ascontiguousarray(keys).view(np.int64)
        sized = np.ascontiguousarray(sizes) if self._by_bytes and sizes is not None else _NOTHING
        mask = len(self._table) // 2 - 1
        return given, sized, address_of(self._table), mask, self._bits, self._tree, self._by_bytes, self._clock, found

    def _make_room(self, n: int) -> None:
        most = self.n_keys + n
        if 4 * most > len(self._table):
            table = np.zeros(1 << (4 * most - 1).bit_length(), np.int64)
            _copy(address_of(self._table), len(self._table) // 2, address_of(table), len(table) // 2 - 1)
            self._table = table
        if self._clock + n > 64 * len(self._bits):
            self._renumber(n)

    def _renumber(self, n: int) -> Ints:
        """Times in the same order, without gaps, and room for ``n`` more and twice as many again; the keys' sizes."""
        counts = np.bitwise_count(self._bits).astype(np.int64)
        leaves = self._tree[: 64 * len(self._bits)] if self._by_bytes else _NOTHING
        sizes = leaves[leaves > 0]
        self._ordered = np.empty(self.n_keys, np.int64)
        before = np.cumsum(counts) - counts
        _renumber(address_of(self._table), len(self._table) // 2, self._bits, before, self._ordered)
        self._number(sizes, 1 << max(4 * (self.n_keys + n) - 1, _LEAST_TIMES - 1).bit_length())
        self._clock = self.n_keys + 1
        return sizes

    def _number(self, sizes: Ints, n_times: int) -> None:
        """Marks at the times from 1 on, one for each key, with room for ``n_times``."""
        marks = np.zeros(n_times, np.uint8)
        marks[1 : self.n_keys + 1] = 1
        self._bits: Keys = np.packbits(marks, bitorder="little").view(np.uint64)
        if self._by_bytes:
            level = np.zeros(n_times, np.int64)
            level[1 : self.n_keys + 1] = sizes
        else:
            level = marks.reshape(-1, 64).sum(axis=1, dtype=np.int64)
        levels = [level]
        while len(level) >= _BRANCHES:
            level = level.reshape(-1, _BRANCHES).sum(axis=1)
            levels.append(level)
        self._tree: Ints = np.concatenate(levels)


_NOTHING = np.empty(0, np.int64)


def _checked(n_new: int) -> int:
    if n_new == RESIZED:
        raise ResizedError
    return int(n_new)
