"""Random numbers of a tier, from its own seeded state: splitmix64 (Steele, Lea & Flood 2014)."""

from simulator.arrays import home, plus
from simulator.compiled import internal
from simulator.records.arena import Tier

_GOLDEN = -7046029254386353131
_POSITIVE = (1 << 63) - 1


@internal
def below(tier: Tier, n: int) -> int:
    """A number from 0 to ``n`` - 1. The bias of the remainder is below n / 2^63."""
    tier.random = plus(tier.random, _GOLDEN)
    return ((home(tier.random, -1) >> 1) & _POSITIVE) % n
