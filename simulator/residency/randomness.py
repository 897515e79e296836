"""Random numbers of a tier, from its own seeded state: splitmix64 (Steele, Lea & Flood 2014)."""

import numpy as np

from simulator.arrays import Ints
from simulator.compiled import internal
from simulator.residency.layout import R_RANDOM, Tier


@internal
def below(a: Ints, t: Tier, n: int) -> int:
    """A number from 0 to ``n`` - 1. The bias of the remainder is below n / 2^63."""
    a[t.reg + R_RANDOM] += np.int64(-7046029254386353131)
    x = np.uint64(a[t.reg + R_RANDOM])
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64((x ^ (x >> np.uint64(31))) >> np.uint64(1)) % n  # type: ignore[return-value]
