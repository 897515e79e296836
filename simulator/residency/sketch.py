"""A count-min sketch of 8-bit counters, four rows deep, whose counts are halved now and then (Einziger et al. 2017).

It lies in an area of the arena: the record Sketch, then the rows, eight counters a word. (Four bits a counter, as is
usual, cannot tell hot blocks from hotter ones.)
"""

from typing import Any

from simulator.arrays import At, Ints, home, plus, times
from simulator.compiled import internal
from simulator.records.checked import declare
from simulator.records.record import Record, view, words_of

_DEPTH = 4
_MOST = 255
_MAX_WIDTH = 1 << 22
# Counts are halved after so many uses for each block of the capacity (Einziger et al.).
_SAMPLE_PER_BLOCK = 32
# Each word of eight counters, halved: what was shifted in from the neighbour is cleared.
_KEEP = 0x7F7F7F7F7F7F7F7F
_GOLDEN = -7046029254386353131


class Sketch(Record):
    """Uses since the last halving, the number after which to halve, and the width of a row less one."""

    added: int
    sample: int
    mask: int


sketch_at = view(Sketch)
_ROWS = Sketch.words


def width_for(n_blocks: int) -> int:
    """Counters in a row for a cache of so many blocks: a power of two, and twice as many or more."""
    return min(max(512, 2 << (n_blocks - 1).bit_length()), _MAX_WIDTH)


def words_for(n_blocks: int) -> int:
    """The area that it takes."""
    return _ROWS + _DEPTH * width_for(n_blocks) // 8


def make(ints: Ints, area: At[Sketch], n_blocks: int) -> None:
    """From Python: a sketch for so many blocks where all is 0 so far."""
    declare(ints, Sketch, area, 1)
    sketch = Sketch(ints, area)
    sketch.sample = _SAMPLE_PER_BLOCK * n_blocks
    sketch.mask = width_for(n_blocks) - 1


@internal
def _word_and_shift(mask: int, area: At[Sketch], key: int, row: int) -> tuple[Any, int]:
    # A hash for each row: splitmix64's finaliser over the key and the row's own odd constant.
    at = (home(plus(key, times(row + 1, _GOLDEN)), -1) >> 1) & mask
    return area + _ROWS + (row * (mask + 1) + at) // 8, (at % 8) * 8


@internal
def estimate(base: Any, area: At[Sketch], key: int) -> int:
    """How often a key was added of late: never too low but for the halvings, 255 at most."""
    words, mask, least = words_of(base), sketch_at(base, area).mask, _MOST
    for row in range(_DEPTH):
        word, shift = _word_and_shift(mask, area, key, row)
        least = min(least, (words[word] >> shift) & _MOST)
    return least


@internal
def add(base: Any, area: At[Sketch], key: int) -> None:
    """Count a use."""
    words, mask = words_of(base), sketch_at(base, area).mask
    for row in range(_DEPTH):
        word, shift = _word_and_shift(mask, area, key, row)
        if (words[word] >> shift) & _MOST != _MOST:
            words[word] = plus(words[word], 1 << shift)


@internal
def age(base: Any, area: At[Sketch]) -> None:
    """Another use of those after whose number all counts are halved."""
    sketch = sketch_at(base, area)
    sketch.added += 1
    if sketch.added >= sketch.sample:
        sketch.added = 0
        words = words_of(base)
        for word in range(area + _ROWS, area + _ROWS + _DEPTH * (sketch.mask + 1) // 8):
            words[word] = (words[word] >> 1) & _KEEP
