"""Policies that remember whom they have let go, as ghosts (keys and sizes, no data): ARC, 2Q and S3-FIFO."""

from simulator.evictions.base import Eviction, Settings, share
from simulator.evictions.queues import Queue


class Arc(Eviction):
    """Blocks used once and blocks used again, each an LRU list with ghosts (Megiddo & Modha, FAST 2003).

    A target says for how many bytes there should be blocks used once. A ghost that comes back moves it: its list should
    have been larger. T1, T2, B1, B2 and p in the paper, which counts pages; here it is bytes.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._lists = {"once": Queue(), "again": Queue()}
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
        self._lists["again" if ghost else "once"].append(key, size)

    def _hit(self, key: int) -> None:
        if key in self._lists["again"]:
            self._lists["again"].renew(key)
        else:
            self._lists["again"].append(key, self._lists["once"].remove(key))

    def _victim(self, size: int, ghost: str | None) -> int:
        once, again, capacity = self._lists["once"], self._lists["again"], self.whole(size)
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
        name = "once" if key in self._lists["once"] else "again"
        self._lists[name].remove(key)
        if evicted and key != self._not_remembered:
            self._ghosts[name].append(key, size)


class Filter(Eviction):
    """What 2Q and S3-FIFO have in common: a queue for who is new, and a main one for who comes back as its ghost."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._new, self._main, self._ghosts = Queue(), Queue(), Queue()

    def _ghost_bytes(self, size: int) -> int:
        """For how many bytes ghosts are remembered, where a block of this size leaves."""
        raise NotImplementedError

    def _recall(self, key: int, size: int) -> str | None:
        if key not in self._ghosts:
            return None
        self._ghosts.remove(key)
        return "new"

    def _insert(self, key: int, size: int, ghost: str | None) -> None:
        (self._main if ghost else self._new).append(key, size)

    def _leave(self, key: int, size: int, evicted: bool) -> None:
        if key in self._main:
            self._main.remove(key)
            return
        self._new.remove(key)
        limit = self._ghost_bytes(size)
        if evicted and size <= limit:
            self._ghosts.shrink_to(limit - size)
            self._ghosts.append(key, size)


class TwoQ(Filter):
    """2Q, full version (Johnson & Shasha, VLDB 1994): the queue is blind to uses, the main one an LRU list.

    A share of the capacity is the queue's, ghosts are remembered for another. A1in, Am and A1out in the paper.
    """

    def _ghost_bytes(self, size: int) -> int:
        return share(self.capacity, self.settings.aout_ratio)

    def _hit(self, key: int) -> None:
        if key in self._main:
            self._main.renew(key)

    def _victim(self, size: int, ghost: str | None) -> int:
        is_over = self._new.n_bytes > share(self.capacity, self.settings.ain_ratio)
        return (self._new if is_over or not self._main else self._main).oldest()


class S3Fifo(Filter):
    """Three first-in-first-out queues: small, main, and ghosts (Yang et al., SOSP 2023).

    A share of the capacity is the small queue's, ghosts are remembered for another. Who was used often enough in the
    small queue goes on to the main one, where each use, of three at most, is good for another round. Until the first
    eviction the small queue takes no more than its share.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._n_uses: dict[int, int] = {}
        self._has_evicted = False

    def _ghost_bytes(self, size: int) -> int:
        return self.share(size, self.settings.ghost_ratio)

    def _insert(self, key: int, size: int, ghost: str | None) -> None:
        is_filled = not self._has_evicted and self._new.n_bytes >= self.share(size, self.settings.small_ratio)
        super()._insert(key, size, "new" if is_filled else ghost)
        self._n_uses[key] = 0

    def _hit(self, key: int) -> None:
        self._n_uses[key] = min(self._n_uses[key] + 1, 3)

    def _victim(self, size: int, ghost: str | None) -> int:
        self._has_evicted = True
        small, main, n_uses = self._new, self._main, self._n_uses
        if main.n_bytes <= self.whole(size) - self.share(size, self.settings.small_ratio):
            while small:
                key = small.oldest()
                if n_uses[key] < self.settings.move_to_main_threshold:
                    return key
                n_uses[key] = 0
                main.append(*small.pop())
        while n_uses[main.oldest()] > 0:
            n_uses[main.oldest()] -= 1
            main.renew(main.oldest())
        return main.oldest()

    def _leave(self, key: int, size: int, evicted: bool) -> None:
        super()._leave(key, size, evicted)
        del self._n_uses[key]
