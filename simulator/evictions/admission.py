"""Who may come in: a block that is in demand and not admitted is served, but not kept.

What a prefetch policy asked for is always let in: that policy, its throttle and the budget are its admission.
"""

from simulator.evictions.draws import Draws
from simulator.evictions.sketch import Sketch

# A probability is a whole number of so many parts.
_PARTS = 1 << 53


class Admission:
    """Everybody."""

    def asked(self, key: int) -> None:
        """A block is asked for, whether it is held or not."""

    def admits(self, key: int, size: int, victim: int | None) -> bool:
        """Whether a block may come in, for which ``victim`` would have to go first (None: there is room)."""
        return True


class BySize(Admission):
    """Blocks of at most so many bytes."""

    def __init__(self, largest: int) -> None:
        self._largest = largest

    def admits(self, key: int, size: int, victim: int | None) -> bool:
        """Whether it is small enough."""
        return size <= self._largest


class ByChance(Admission):
    """Each with the same chance, drawn anew each time."""

    def __init__(self, probability: float, draws: Draws) -> None:
        self._parts, self._draws = round(probability * _PARTS), draws

    def admits(self, key: int, size: int, victim: int | None) -> bool:
        """Whether it is lucky."""
        return self._draws.below(_PARTS) < self._parts


class TinyLfu(Admission):
    """Into a full tier only what was asked for more often of late than who would go (Einziger et al., TOS 2017)."""

    def __init__(self, n_blocks: int) -> None:
        self._sketch = Sketch(n_blocks)

    def asked(self, key: int) -> None:
        """Count it."""
        self._sketch.add(key)
        self._sketch.age()

    def admits(self, key: int, size: int, victim: int | None) -> bool:
        """Whether it has more uses than the victim; a draw is for the one that is there."""
        return victim is None or self._sketch.estimate(key) > self._sketch.estimate(victim)


def make_admission(name: str, value: float, n_blocks: int, draws: Draws) -> Admission:
    """The admission of this name, with its parameter."""
    if name == "size":
        return BySize(int(value))
    if name == "probabilistic":
        return ByChance(value, draws)
    return TinyLfu(n_blocks) if name == "tinylfu" else Admission()
