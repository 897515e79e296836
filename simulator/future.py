"""The future of the demand stream, for who may know it: the optimal eviction and the oracle."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from simulator.arrays import Ints
from simulator.residency.belady import NEVER
from simulator.trace import Batch


class Future(NamedTuple):
    """A trace seen from its end.

    ``next_use`` has for each access the position of the next one with its key, NEVER if there is none; ``keys`` (int64)
    and ``first_use`` have each key once.
    """

    next_use: Ints
    keys: Ints
    first_use: Ints


def future_of(accesses: Iterator[Batch]) -> Future:
    """Read a whole trace: 8 bytes an access stay in memory, 32 while it is made."""
    keys = np.concatenate([np.empty(0, np.int64), *(batch.key.view(np.int64) for batch in accesses)])
    order = np.argsort(keys, kind="stable")
    by_key = keys[order]
    same = by_key[1:] == by_key[:-1]
    next_use = np.full(len(keys), NEVER, np.int64)
    next_use[order[:-1][same]] = order[1:][same]
    is_first = np.ones(len(keys), bool)
    is_first[1:] = ~same
    return Future(next_use, by_key[is_first], order[is_first])
