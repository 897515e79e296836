"""A count-min sketch of 8-bit counters, four rows deep, whose counts are halved now and then (Einziger et al. 2017).

It lies in an area of the arena: a word for the uses since the last halving, one for the number after which to halve,
one for the mask, then the rows, eight counters a word. (Four bits a counter, as is usual, cannot tell hot
blocks from hotter ones.)
"""

import numpy as np

from simulator.arrays import Ints
from simulator.compiled import compiled, internal

_ADDED, _SAMPLE, _MASK, _ROWS = range(4)
_DEPTH = 4
_MOST = 255
_MAX_WIDTH = 1 << 22
# Each word of eight counters, halved: what was shifted in from the neighbour is cleared.
_KEEP = np.int64(0x7F7F7F7F7F7F7F7F)


def width_for(n_blocks: int) -> int:
    """Counters in a row for a cache of so many blocks: a power of two, and twice as many or more."""
    return min(max(512, 2 << (n_blocks - 1).bit_length()), _MAX_WIDTH)


def words_for(n_blocks: int) -> int:
    """The area that it takes."""
    return _ROWS + _DEPTH * width_for(n_blocks) // 8


@compiled
def setup(a: Ints, area: int, width: int, sample: int) -> None:
    """All counts 0; they are halved after ``sample`` increments."""
    a[area + _ADDED] = 0
    a[area + _SAMPLE] = sample
    a[area + _MASK] = width - 1


@internal
def _word_and_shift(a: Ints, area: int, key: int, row: int) -> tuple[int, int]:
    # A hash for each row: splitmix64's finaliser over the key and the row's own odd constant.
    x = np.uint64(key) + np.uint64(row + 1) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mask = a[area + _MASK]
    at = np.int64((x ^ (x >> np.uint64(31))) >> np.uint64(1)) & mask
    return area + _ROWS + (row * (mask + 1) + at) // 8, (at % 8) * 8


@internal
def estimate(a: Ints, area: int, key: int) -> int:
    """How often a key was added of late: never too low but for the halvings, 255 at most."""
    least = _MOST
    for row in range(_DEPTH):
        word, shift = _word_and_shift(a, area, key, row)
        least = min(least, (a[word] >> shift) & _MOST)
    return least


@internal
def add(a: Ints, area: int, key: int) -> None:
    """Count a use."""
    for row in range(_DEPTH):
        word, shift = _word_and_shift(a, area, key, row)
        if (a[word] >> shift) & _MOST != _MOST:
            a[word] += 1 << shift


@internal
def age(a: Ints, area: int) -> None:
    """Another use of those after whose number all counts are halved."""
    a[area + _ADDED] += 1
    if a[area + _ADDED] >= a[area + _SAMPLE]:
        a[area + _ADDED] = 0
        for word in range(area + _ROWS, area + _ROWS + _DEPTH * (a[area + _MASK] + 1) // 8):
            a[word] = (a[word] >> 1) & _KEEP
