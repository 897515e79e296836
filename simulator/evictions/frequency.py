"""Policies that count uses: LFU, LFU with dynamic ageing, and GDSF."""

from simulator.evictions.base import Eviction, Settings
from simulator.evictions.heaps import Heap

# Quotients are in units of 2^-40: whole numbers, whose sums do not depend on their order.
_UNIT = 1 << 40


class Lfu(Eviction):
    """Least frequently used; of equals who was used longest ago. A block that leaves loses its count."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._heap = Heap()
        self._n_uses: dict[int, int] = {}
        self._now = 0

    def _rank(self, key: int) -> int:
        """The least goes."""
        return self._n_uses[key]

    def _insert(self, key: int, size: int, ghost: str | None) -> None:
        self._n_uses[key] = 0
        self._hit(key)

    def _hit(self, key: int) -> None:
        self._now += 1
        self._n_uses[key] += 1
        self._heap.put(key, self._rank(key), self._now)

    def _victim(self, size: int, ghost: str | None) -> int:
        return self._heap.least()

    def _leave(self, key: int, size: int, evicted: bool) -> None:
        self._heap.remove(key)
        del self._n_uses[key]


class Lfuda(Lfu):
    """LFU with dynamic ageing (Arlitt et al. 2000): rank = uses + age, that is the rank of the last victim.

    The age counts as it was at a block's last use, and only grows: what was often used long ago comes down to what is
    used now.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._age = 0

    def _rank(self, key: int) -> int:
        return self._age + self._n_uses[key]

    def _leave(self, key: int, size: int, evicted: bool) -> None:
        if evicted:
            self._age = self._heap.rank(key)
        super()._leave(key, size, evicted)


class Gdsf(Lfuda):
    """GreedyDual-Size with frequency (Cherkasova 1998): rank = uses / bytes + age, so that small blocks stay longer."""

    def _rank(self, key: int) -> int:
        return self._age + self._n_uses[key] * (_UNIT // self.sizes[key])
