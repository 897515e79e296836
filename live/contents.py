"""Blocks whose bytes say what they are, so that whoever reads one can tell whether it is the right one."""

from collections.abc import Iterable

import numpy as np

from live.buffers import Bytes8
from live.store import Store

SECTOR = 512
"""What disks write at once: each has a stamp of its own, so that no block of two halves passes for whole."""
FILLED = 0
"""The version that ``fill`` writes."""


def pattern(block: int) -> Bytes8:
    """A block of bytes at random, the same each time, to be stamped."""
    return np.random.default_rng(0).integers(256, size=block, dtype=np.uint8)


def stamp(data: Bytes8, key: int, version: int) -> Bytes8:
    """Write key and version into each sector of a block."""
    words = data.view(np.uint64).reshape(-1, SECTOR // 8)
    words[:, 0], words[:, 1] = key, version
    return data


def version_of(data: Bytes8, key: int) -> int | None:
    """Which version a block is, if all of its sectors are of that key and one version."""
    words = data.view(np.uint64).reshape(-1, SECTOR // 8)
    version = int(words[0, 1])
    return version if (words[:, 0] == key).all() and (words[:, 1] == version).all() else None


def fill(store: Store, keys: Iterable[int]) -> int:
    """Write the blocks of these keys that a store lacks, as their first version; how many."""
    data, n = pattern(store.block), 0
    for key in keys:
        if not store.holds(int(key)):
            store.write(int(key), stamp(data, int(key), FILLED))
            n += 1
    store.flush()
    return n
