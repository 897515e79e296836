"""Policies that remember whom they have let go, as ghosts (keys and sizes, no data): ARC, 2Q and S3-FIFO."""

from simulator.evictions.base import Eviction, Settings
from simulator.evictions.queues import Queue


class Arc(Eviction):
    """Blocks used once and blocks used again, each an LRU list with ghosts (Megiddo & Modha, FAST 2003).

    A target says for how many bytes there should be blocks used once. A ghost that comes back moves it: its list should
    have been larger. T1, T2, B1, B2 and p in the paper, which counts pages; here it is bytes.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._once, self._again = Queue(), Queue()
        self._ghosts = {"once": Queue(), "again": Queue()}
        # The target is a fraction of bytes, in units of 2^-bits: coarser where 64 bits would not do otherwise.
        self._bits = 20 if self.capacity < 1 << 42 else 6
        self._target = 0
        self._not_remembered: int | None = None

    def _recall(self, key: int, size: int) -> str | None:
        ghosts, bits = self._ghosts, self._bits
        name = next((name for name, queue in ghosts.items() if key in queue), None)
        if name is None:
            return None
        other = "again" if name == "once" else "once"
        # By as many blocks as the other ghosts outweigh these.
        weight = (max(ghosts[other].n_bytes, 1) << bits) // ghosts[name].n_bytes
        size = ghosts[name].remove(key)
        step = max(weight, 1 << bits) * size
        if name == "once":
            self._target = min(self._target + step, self.whole(size) << bits)
        else:
            self._target = max(self._target - step, 0)
        return name

    def _insert(self, key: int, size: int, ghost: str | None) -> None:
        (self._once if ghost is None else self._again).append(key, size)

    def _hit(self, key: int) -> None:
        size = (self._once if key in self._once else self._again).remove(key)
        self._again.append(key, size)

    def _victim(self, size: int, ghost: str | None) -> int:
        once, again, capacity = self._once, self._again, self.whole(size)
        self._not_remembered = None
        if ghost is None:
            # Room for the ghost to be: used once, held or not, should not exceed the capacity, nor all twice that.
            ghosts_once, ghosts_again = self._ghosts["once"], self._ghosts["again"]
            excess = once.n_bytes + ghosts_once.n_bytes + size - capacity
            if excess > 0 and not ghosts_once:
                self._not_remembered = once.oldest()
                return self._not_remembered
            if excess > 0:
                ghosts_once.shrink_to(ghosts_once.n_bytes - excess)
            else:
                ghosts_again.shrink_to(capacity - excess - again.n_bytes)
        held = once.n_bytes << self._bits
        is_over = held > self._target or (held == self._target and ghost == "again")
        return once.oldest() if not again or (once and is_over) else again.oldest()

    def _leave(self, key: int, size: int, evicted: bool) -> None:
        name = "once" if key in self._once else "again"
        (self._once if name == "once" else self._again).remove(key)
        if evicted and key != self._not_remembered:
            self._ghosts[name].append(key, size)


class TwoQ(Eviction):
    """A queue for what is new, an LRU list for what came back after it (Johnson & Shasha, VLDB 1994, full version).

    The queue has a quarter of the capacity and is blind to uses; who has left it is a ghost for as long as half of the
    capacity. A1in, A1out and Am in the paper.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._queue, self._main, self._ghosts = Queue(), Queue(), Queue()

    def _recall(self, key: int, size: int) -> str | None:
        return _recalled(self._ghosts, key)

    def _insert(self, key: int, size: int, ghost: str | None) -> None:
        (self._main if ghost else self._queue).append(key, size)

    def _hit(self, key: int) -> None:
        if key in self._main:
            self._main.append(key, self._main.remove(key))

    def _victim(self, size: int, ghost: str | None) -> int:
        from_queue = not self._main or self._queue.n_bytes > self.capacity // 4
        return (self._queue if from_queue else self._main).oldest()

    def _leave(self, key: int, size: int, evicted: bool) -> None:
        if key in self._main:
            self._main.remove(key)
            return
        self._queue.remove(key)
        if evicted:
            _remember(self._ghosts, key, size, self.capacity // 2)


class S3Fifo(Eviction):
    """A small queue that filters, a main queue, and ghosts of what the filter let go (Yang et al., SOSP 2023).

    A tenth of the capacity is the small queue's. Who was used twice in it goes on to the main queue, where each use is
    good for another round; who was not is a ghost for as long as nine tenths of the capacity, and if it comes back
    meanwhile, it goes to the main queue. Until the first eviction the small queue takes no more than its share.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._small, self._main, self._ghosts = Queue(), Queue(), Queue()
        self._n_uses: dict[int, int] = {}
        self._has_evicted = False

    def _recall(self, key: int, size: int) -> str | None:
        return _recalled(self._ghosts, key)

    def _insert(self, key: int, size: int, ghost: str | None) -> None:
        is_filled = not self._has_evicted and self._small.n_bytes >= self.share(size, 1, 10)
        (self._main if ghost or is_filled else self._small).append(key, size)
        self._n_uses[key] = 0

    def _hit(self, key: int) -> None:
        self._n_uses[key] = min(self._n_uses[key] + 1, 3)

    def _victim(self, size: int, ghost: str | None) -> int:
        self._has_evicted = True
        small, main, n_uses = self._small, self._main, self._n_uses
        if main.n_bytes <= self.whole(size) - self.share(size, 1, 10):
            while small:
                if n_uses[small.oldest()] < 2:
                    return small.oldest()
                n_uses[small.oldest()] = 0
                main.append(*small.pop())
        while n_uses[main.oldest()] > 0:
            n_uses[main.oldest()] -= 1
            main.append(*main.pop())
        return main.oldest()

    def _leave(self, key: int, size: int, evicted: bool) -> None:
        del self._n_uses[key]
        if key in self._main:
            self._main.remove(key)
            return
        self._small.remove(key)
        if evicted:
            _remember(self._ghosts, key, size, self.share(size, 9, 10))


def _recalled(ghosts: Queue, key: int) -> str | None:
    """Whether a block was a ghost; it is one no longer."""
    if key not in ghosts:
        return None
    ghosts.remove(key)
    return "ghost"


def _remember(ghosts: Queue, key: int, size: int, limit: int) -> None:
    """A new ghost, for which the oldest make room; none if it is larger than all may be."""
    if size <= limit:
        ghosts.shrink_to(limit - size)
        ghosts.append(key, size)
