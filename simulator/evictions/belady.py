"""Belady's optimum, which knows the future."""

from simulator.evictions.base import Eviction, Settings
from simulator.evictions.heaps import Heap

NEVER = 1 << 62


class Belady(Eviction):
    """Whose next use in the demand stream is furthest away goes (Belady, IBM Systems Journal 1966).

    Of those never used again, who came first goes. Optimal for blocks of one size. A block that the stream does not
    have, which only a prefetch can bring, is never used. A write is a use.
    """

    foresees = True

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._next_use: dict[int, int] = {}
        self._came: dict[int, int] = {}
        self._now = 0
        self._heap = Heap()

    def foresee(self, first_uses: dict[int, int]) -> None:
        """Before the run: where in the demand stream each of its keys is used first."""
        self._next_use = dict(first_uses)

    def passed(self, key: int, next_use: int) -> None:
        """An access is issued: its key, held or not, is used next where it says."""
        self._next_use[key] = next_use
        if key in self.sizes:
            self._rank(key)

    def _rank(self, key: int) -> None:
        self._heap.put(key, -self._next_use.get(key, NEVER), self._came[key])

    def _insert(self, key: int, size: int, ghost: str | None) -> None:
        self._now += 1
        self._came[key] = self._now
        self._rank(key)

    def _victim(self, size: int, ghost: str | None) -> int:
        return self._heap.least()

    def _leave(self, key: int, size: int, evicted: bool) -> None:
        self._heap.remove(key)
        del self._came[key]
