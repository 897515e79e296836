"""Random numbers of a tier, from its own seeded state: splitmix64 (Steele, Lea & Flood, OOPSLA 2014)."""

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def scattered(x: int) -> int:
    """Splitmix64's finaliser: 63 bits, all of which depend on all 64 bits of ``x``."""
    x &= _MASK
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & _MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & _MASK
    return (x ^ (x >> 31)) >> 1


class Draws:
    """The numbers that follow from a seed; eviction and admission of a tier draw from the same."""

    def __init__(self, seed: int) -> None:
        self._state = seed

    def below(self, n: int) -> int:
        """A number from 0 to ``n`` - 1."""
        self._state = (self._state + _GOLDEN) & _MASK
        return scattered(self._state) % n
