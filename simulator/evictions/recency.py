"""Policies that know order and little else: FIFO, LRU, one that pins blocks, LRU from prefixes' ends, CLOCK, SIEVE."""

from collections import Counter, OrderedDict
from collections.abc import Iterable

from simulator.evictions.base import Eviction, Settings


class Fifo(Eviction):
    """First in, first out: blind to uses."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._order: OrderedDict[int, None] = OrderedDict()  # the next to go first

    def _insert(self, key: int, size: int, ghost: str | None) -> None:
        self._order[key] = None

    def _victim(self, size: int, ghost: str | None) -> int:
        return next(iter(self._order))

    def _leave(self, key: int, size: int, evicted: bool) -> None:
        del self._order[key]


class Lru(Fifo):
    """Least recently used: who was used longest ago goes (Mattson et al., IBM Systems Journal 1970)."""

    def _hit(self, key: int) -> None:
        self._order.move_to_end(key)


class Pinned(Eviction):
    """The hottest blocks, which are known before, go only where nobody else is left; the others as in LRU."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._pinned = set(self.settings.pinned)
        self._order: OrderedDict[int, None] = OrderedDict()  # who was used longest ago first

    def pin(self, keys: Iterable[int]) -> None:
        """These were accessed most before what is judged."""
        self._pinned |= set(keys)

    def _insert(self, key: int, size: int, ghost: str | None) -> None:
        self._order[key] = None

    def _hit(self, key: int) -> None:
        self._order.move_to_end(key)

    def _victim(self, size: int, ghost: str | None) -> int:
        return next((key for key in self._order if key not in self._pinned), next(iter(self._order)))

    def _leave(self, key: int, size: int, evicted: bool) -> None:
        del self._order[key]


class LeafLru(Lru):
    """Who was used longest ago goes, of the blocks that are no held one's parent: prefixes are let go from their end.

    As radix trees of KV caches do it. Where all are parents, which keys that do not say what a block was computed from
    can make so, it is LRU.
    """

    knows_families = True

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._parents: dict[int, int] = {}
        self._children: Counter[int] = Counter()  # that are held

    def adopt(self, parents: dict[int, int]) -> None:
        """Before the run: of each key that ever comes behind another in a request, the one before it."""
        self._parents = parents

    def _insert(self, key: int, size: int, ghost: str | None) -> None:
        super()._insert(key, size, ghost)
        if key in self._parents:
            self._children[self._parents[key]] += 1

    def _victim(self, size: int, ghost: str | None) -> int:
        leaves = (key for key in self._order if not self._children[key])
        return next(leaves, next(iter(self._order)))

    def _leave(self, key: int, size: int, evicted: bool) -> None:
        super()._leave(key, size, evicted)
        if key in self._parents:
            self._children[self._parents[key]] -= 1


class Clock(Fifo):
    """Second chance: first in, first out, but who was used meanwhile goes round once more (Corbató 1968).

    With a counter of several bits it goes round as often as it was used, up to what they can count.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._rounds: dict[int, int] = {}
        self._most = 2**self.settings.n_bit_counter - 1

    def _insert(self, key: int, size: int, ghost: str | None) -> None:
        super()._insert(key, size, ghost)
        self._rounds[key] = self.settings.init_freq

    def _hit(self, key: int) -> None:
        self._rounds[key] = min(self._rounds[key] + 1, self._most)

    def _victim(self, size: int, ghost: str | None) -> int:
        key = super()._victim(size, ghost)
        while self._rounds[key]:
            self._rounds[key] -= 1
            self._order.move_to_end(key)
            key = super()._victim(size, ghost)
        return key

    def _leave(self, key: int, size: int, evicted: bool) -> None:
        super()._leave(key, size, evicted)
        del self._rounds[key]


class Sieve(Eviction):
    """A hand goes from old to new and takes the first not used since it came by last (Zhang et al., NSDI 2024).

    Who is spared stays where it is, and so new blocks, which come in beyond the hand, are sifted from old ones. Here
    the order is cut in two where the hand is: those that it has left behind, all older, and those ahead of it.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._behind: OrderedDict[int, None] = OrderedDict()
        self._ahead: OrderedDict[int, None] = OrderedDict()  # the hand is at the first
        self._used_again: set[int] = set()

    def _insert(self, key: int, size: int, ghost: str | None) -> None:
        self._ahead[key] = None

    def _hit(self, key: int) -> None:
        self._used_again.add(key)

    def _victim(self, size: int, ghost: str | None) -> int:
        key = next(iter(self._ahead))
        while key in self._used_again:
            self._used_again.remove(key)
            del self._ahead[key]
            self._behind[key] = None
            self._turn_back()
            key = next(iter(self._ahead))
        return key

    def _leave(self, key: int, size: int, evicted: bool) -> None:
        del (self._ahead if key in self._ahead else self._behind)[key]
        self._used_again.discard(key)
        self._turn_back()

    def _turn_back(self) -> None:
        """From the newest the hand goes on to the oldest. At once: who comes next is not what it waits for."""
        if not self._ahead:
            self._ahead, self._behind = self._behind, self._ahead
