"""The counting Bloom filter by which libCacheSim's W-TinyLFU counts uses: 32-bit counters, shared by chance.

As large as is meant for an error of 0.001: so many counters for each block, of which a key has ten, by double hashing
(Kirsch & Mitzenmacher 2006) of two XXH64. Each use counts in all of them. It lies in an area of the arena: the record
Bloom, then the counters, two a word.
"""

import math
from typing import Any

from simulator.arrays import At, Ints, xxh64
from simulator.compiled import internal
from simulator.records.checked import declare
from simulator.records.record import Record, view, words_of

_PER_BLOCK = -math.log(0.001) / 0.480453013918201  # the square of ln 2, as there: it decides where 1 is rounded up
_HASHES = 10
_SEEDS = (0x12345678, 0x12344321)
_MOST_COUNTERS = 2**31 - 1
# Counts are halved after so many uses for each block.
_SAMPLE_PER_BLOCK = 32
_LOW = 0xFFFFFFFF
# Two counters, halved: what was shifted in from the neighbour, or is a sign, is cleared.
_KEEP = 0x7FFFFFFF7FFFFFFF


class Bloom(Record):
    """Uses since the last halving, the number after which to halve, and the number of counters."""

    added: int
    sample: int
    n: int


bloom_at = view(Bloom)
_COUNTERS = Bloom.words


def _n_counters(n_blocks: int) -> int:
    n = min(math.ceil(_PER_BLOCK * n_blocks), _MOST_COUNTERS)
    return n if n >= _HASHES else 2 * _HASHES


def words_for(n_blocks: int) -> int:
    """The area that it takes for a main cache of so many blocks."""
    return _COUNTERS + (_n_counters(n_blocks) + 1) // 2


def make(ints: Ints, area: At[Bloom], n_blocks: int) -> None:
    """From Python: a filter where all is 0 so far."""
    declare(ints, Bloom, area, 1)
    bloom = Bloom(ints, area)
    bloom.sample = _SAMPLE_PER_BLOCK * n_blocks
    bloom.n = _n_counters(n_blocks)


@internal
def _word_and_shift(n: int, area: At[Bloom], first: int, step: int, which: int) -> tuple[Any, int]:
    at = ((first + which * step) & _LOW) % n
    return area + _COUNTERS + at // 2, (at % 2) * 32


@internal
def estimate(base: Any, area: At[Bloom], key: int) -> int:
    """How often a key was added of late: never too low but for the halvings."""
    words, n, least = words_of(base), bloom_at(base, area).n, _LOW
    first, step = xxh64(key, _SEEDS[0]), xxh64(key, _SEEDS[1])
    for which in range(_HASHES):
        word, shift = _word_and_shift(n, area, first, step, which)
        least = min(least, (words[word] >> shift) & _LOW)
    return least


@internal
def add(base: Any, area: At[Bloom], key: int) -> None:
    """Count a use, twice in a counter that two of the key's hashes hit upon."""
    words, n = words_of(base), bloom_at(base, area).n
    first, step = xxh64(key, _SEEDS[0]), xxh64(key, _SEEDS[1])
    for which in range(_HASHES):
        word, shift = _word_and_shift(n, area, first, step, which)
        words[word] += 1 << shift


@internal
def age(base: Any, area: At[Bloom]) -> None:
    """Another use of those after whose number all counts are halved."""
    bloom = bloom_at(base, area)
    bloom.added += 1
    if bloom.added >= bloom.sample:
        bloom.added = 0
        words = words_of(base)
        for word in range(area + _COUNTERS, area + _COUNTERS + (bloom.n + 1) // 2):
            words[word] = (words[word] >> 1) & _KEEP
