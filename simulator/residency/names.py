"""The eviction policies and the admissions by name; the position is the number that compiled code branches on."""

from typing import Literal, get_args

EvictionName = Literal[
    "lru", "fifo", "random", "clock", "sieve", "s3fifo", "lfu", "lfuda", "arc", "2q", "slru", "lirs", "wtinylfu",
    "gdsf", "hyperbolic", "belady",
]  # fmt: skip
EVICTION_NAMES: tuple[str, ...] = get_args(EvictionName)
(LRU, FIFO, RANDOM, CLOCK, SIEVE, S3FIFO, LFU, LFUDA, ARC, TWO_Q, SLRU, LIRS, WTINYLFU, GDSF, HYPERBOLIC, BELADY) = (
    range(len(EVICTION_NAMES))
)

EntersName = Literal["front", "middle", "back", "region"]
ENTERS_NAMES: tuple[str, ...] = get_args(EntersName)
FRONT, MIDDLE, BACK, REGION = range(len(ENTERS_NAMES))

ADMISSION_NAMES: tuple[str, ...] = ("all", "size", "tinylfu", "probabilistic")
ADMIT_ALL, ADMIT_SIZE, ADMIT_TINYLFU, ADMIT_PROBABILISTIC = range(len(ADMISSION_NAMES))
