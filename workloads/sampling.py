"""Spatial sampling of a trace: all accesses to a share of the keys, drawn by a hash (SHARDS, Waldspurger et al. 2015).

A cache of ``rate`` times the size on the sample misses about as often as the whole one on the whole trace, for any
eviction policy (Waldspurger et al. 2017). Samples are nested: what a smaller rate takes, a larger one takes too.
"""

import numpy as np
import numpy.typing as npt

from simulator.trace import Batch

PARTS = 1 << 24
"""A rate is a whole number of so many parts."""


def parts_of(rate: float) -> int:
    """A rate above 0 and up to 1 as a number of parts, at least one."""
    return max(round(rate * PARTS), 1)


def are_sampled(keys: npt.NDArray[np.uint64], parts: int, draw: int = 0) -> npt.NDArray[np.bool_]:
    """Whether each key is in the sample; another ``draw`` is another sample."""
    # The finaliser of splitmix64 of another sequence than hash tables use, and its upper bits: theirs stay even.
    x = keys + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    # Behind the first product: keys have regular distances, and a number added to them would draw neighbours alike.
    x ^= np.uint64(draw * 0xD1B54A32D192ED03 % 2**64)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    found: npt.NDArray[np.bool_] = ((x ^ (x >> np.uint64(31))) >> np.uint64(40)) < np.uint64(parts)
    return found


def sample(batch: Batch, parts: int, draw: int = 0) -> Batch:
    """The accesses of a batch that are in the sample, in order."""
    if parts == PARTS:
        return batch
    kept = are_sampled(batch.key, parts, draw)
    return batch[kept]


def corrected_miss_ratio(n_misses: int, n_accesses: int, parts: int) -> float:
    """The miss ratio of a whole trace of ``n_accesses``, of which a sample missed ``n_misses`` times.

    SHARDS' correction: a sample that has by chance more or fewer accesses than its share is mostly one with or without
    some of the most used keys, which hit in any cache; the difference counts as hits.
    """
    return min(n_misses * PARTS / (n_accesses * parts), 1.0)
