"""Policies that draw at random: Random and Hyperbolic."""

from simulator.evictions.base import Eviction, Settings


class Random(Eviction):
    """Everybody is as likely to go (Belady, IBM Systems Journal 1966).

    To draw, and to take out, each in one step, the blocks are in a list: the last takes the place of who leaves.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._bag: list[int] = []
        self._places: dict[int, int] = {}

    def _insert(self, key: int, size: int, ghost: str | None) -> None:
        self._places[key] = len(self._bag)
        self._bag.append(key)

    def _victim(self, size: int, ghost: str | None) -> int:
        return self._bag[self.draws.below(len(self._bag))]

    def _leave(self, key: int, size: int, evicted: bool) -> None:
        place, last = self._places.pop(key), self._bag.pop()
        if last != key:
            self._bag[place] = last
            self._places[last] = place


class Hyperbolic(Random):
    """Of some draws who has the fewest uses for its time in the tier (Blankstein, Sen & Freedman, ATC 2017).

    Time is counted in uses of the tier. All blocks are taken to cost the same. A block may be drawn twice, and each
    victim is drawn anew.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._now = 0
        self._n_uses: dict[int, int] = {}
        self._since: dict[int, int] = {}

    def _insert(self, key: int, size: int, ghost: str | None) -> None:
        super()._insert(key, size, ghost)
        self._now += 1
        self._n_uses[key], self._since[key] = 1, self._now

    def _hit(self, key: int) -> None:
        self._now += 1
        self._n_uses[key] += 1

    def _victim(self, size: int, ghost: str | None) -> int:
        bag, below, now = self._bag, self.draws.below, self._now + 1
        drawn = [bag[below(len(bag))] for _ in range(self.settings.n_sample)]
        worst = drawn[0]
        uses, time = self._n_uses[worst], now - self._since[worst]
        for key in drawn:
            # Products instead of quotients keep it whole: a / b < c / d where a d < c b.
            if self._n_uses[key] * time < uses * (now - self._since[key]):
                worst, uses, time = key, self._n_uses[key], now - self._since[key]
        return worst

    def _leave(self, key: int, size: int, evicted: bool) -> None:
        super()._leave(key, size, evicted)
        del self._n_uses[key], self._since[key]
