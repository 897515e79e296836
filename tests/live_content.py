"""Blocks whose bytes say whose they are."""

import numpy as np

from live.buffers import Bytes8

BLOCK = 4096


def content(key: int, version: int) -> Bytes8:
    """A block that no other key or version has."""
    block = np.empty(BLOCK, np.uint8)
    block[:16] = np.array([key, version], np.uint64).view(np.uint8)
    block[16:] = (key * 31 + version * 7) % 251
    return block


def version_of(block: Bytes8) -> int:
    """Which version a block says that it is."""
    return int(block[8:16].view(np.uint64)[0])
