"""Who may come in: a block that is in demand and not admitted is served, but not kept.

What a prefetch policy asked for is always let in: that policy, its throttle and the budget are its admission.
"""

from typing import Any

from simulator.evictions.draws import Draws
from simulator.evictions.sketch import Sketch

# A probability is a whole number of so many parts.
_PARTS = 1 << 53


class Admission:
    """Everybody. Made of its settings, about how many blocks fit, and the tier's random draws."""

    def __init__(self, settings: Any, n_blocks: int, draws: Draws) -> None:
        self.settings, self.draws = settings, draws

    def asked(self, key: int) -> None:
        """A block is asked for, whether it is held or not."""

    def admits(self, key: int, size: int, victim: int | None) -> bool:
        """Whether a block may come in, for which ``victim`` would have to go first (None: there is room)."""
        return True


class BySize(Admission):
    """Blocks of at most so many bytes."""

    def admits(self, key: int, size: int, victim: int | None) -> bool:
        """Whether it is small enough."""
        return bool(size <= self.settings.largest)


class ByChance(Admission):
    """Each with the same chance, drawn anew each time."""

    def admits(self, key: int, size: int, victim: int | None) -> bool:
        """Whether it is lucky."""
        return self.draws.below(_PARTS) < round(self.settings.probability * _PARTS)


class TinyLfu(Admission):
    """Into a full tier only what was asked for more often of late than who would go (Einziger et al., TOS 2017)."""

    def __init__(self, settings: Any, n_blocks: int, draws: Draws) -> None:
        super().__init__(settings, n_blocks, draws)
        self._sketch = Sketch(n_blocks)

    def asked(self, key: int) -> None:
        """Count it."""
        self._sketch.add(key)
        self._sketch.age()

    def admits(self, key: int, size: int, victim: int | None) -> bool:
        """Whether it has more uses than the victim; a draw is for the one that is there."""
        return victim is None or self._sketch.estimate(key) > self._sketch.estimate(victim)


ADMISSIONS: dict[str, type[Admission]] = {
    "all": Admission, "size": BySize, "probabilistic": ByChance, "tinylfu": TinyLfu,
}  # fmt: skip
