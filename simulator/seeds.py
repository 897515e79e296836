"""Random streams keyed by name and purpose, never by the order of events (common random numbers)."""

import zlib

import numpy as np


def generator(seed: int, *purpose: str) -> np.random.Generator:
    """A generator that depends on the run's seed and on what it is for, and on nothing else."""
    words = [zlib.crc32(part.encode()) for part in purpose]
    return np.random.default_rng(np.random.SeedSequence([seed, *words]))


def number(seed: int, *purpose: str) -> int:
    """A number of 63 bits by the same: what is drawn by counting begins there."""
    return int(generator(seed, *purpose).integers(2**63))
