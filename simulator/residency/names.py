"""The eviction policies by name; the position is the number that compiled code branches on."""

from typing import Literal, get_args

EvictionName = Literal["lru", "fifo"]
EVICTION_NAMES: tuple[str, ...] = get_args(EvictionName)
LRU, FIFO = range(len(EVICTION_NAMES))
