"""Policies of LRU lists in which a block rises with each use: SLRU, and W-TinyLFU, of which that is the main part."""

from simulator.evictions.base import Eviction, Settings, share
from simulator.evictions.bloom import Bloom
from simulator.evictions.queues import Queue
from simulator.evictions.sketch import Sketch


class Segments:
    """LRU lists, one above the other, each for so many bytes."""

    def __init__(self, limits: list[int]) -> None:
        self.limits = limits
        self.n_bytes = 0
        self._lists = [Queue() for _ in limits]
        self._levels: dict[int, int] = {}  # which list a block is in

    def __contains__(self, key: int) -> bool:
        return key in self._levels

    def insert(self, key: int, size: int) -> None:
        """Into the lowest list that has room, or the lowest."""
        self.n_bytes += size
        for level, segment in enumerate(self._lists):
            if segment.n_bytes + size <= self.limits[level]:
                break
        else:
            level = 0
        self._put(key, size, level)

    def use(self, key: int) -> bool:
        """Bring a block one list up; what is too much there goes down, list by list. Whether any to the lowest."""
        lists, level = self._lists, self._levels[key]
        above = min(level + 1, len(lists) - 1)
        self._put(key, lists[level].remove(key), above)
        came_down_to = None
        for level in range(above, 0, -1):
            while lists[level].n_bytes > self.limits[level]:
                self._put(*lists[level].pop(), level - 1)
                came_down_to = level - 1
        return came_down_to == 0

    def overflow(self) -> int | None:
        """The least recently used of the lowest list if that has too much, and more than one."""
        lowest = self._lists[0]
        return lowest.oldest() if lowest.n_bytes > self.limits[0] and len(lowest) > 1 else None

    def victim(self) -> int | None:
        """The least recently used of the lowest list that has any."""
        return next((segment.oldest() for segment in self._lists if segment), None)

    def remove(self, key: int) -> None:
        """Take a block out."""
        self.n_bytes -= self._lists[self._levels.pop(key)].remove(key)

    def _put(self, key: int, size: int, level: int) -> None:
        self._lists[level].append(key, size)
        self._levels[key] = level


class Slru(Eviction):
    """Segmented LRU (Karedla, Love & Wherry, Computer 1994), each list for its share of the capacity.

    What is left when shares are rounded down, the lowest list may have, too. As libCacheSim has it, only until a use
    brings a block down to it: then it must do with its share.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        weights = self.settings.seg_size
        self._segments = Segments([self.capacity * weight // sum(weights) for weight in weights])

    def _insert(self, key: int, size: int, ghost: str | None) -> None:
        self._segments.insert(key, size)

    def _hit(self, key: int) -> None:
        has_come_down = self._segments.use(key)
        self._is_pushing_out = has_come_down and self.settings.variant == "libcachesim"

    def _overflow(self) -> int | None:
        return self._segments.overflow() if self._is_pushing_out else None

    def _victim(self, size: int, ghost: str | None) -> int:
        victim = self._segments.victim()
        assert victim is not None
        return victim

    def _leave(self, key: int, size: int, evicted: bool) -> None:
        self._segments.remove(key)


class WTinyLfu(Eviction):
    """A window before a main cache that only frequent blocks enter (Einziger, Friedman & Manes, TOS 2017).

    The window is an LRU list of a share of the capacity. While the main cache has room, what is too much in the
    window goes there. After that, the window's next victim and the main cache's are compared by a sketch, and the one
    used less often of late goes. The main cache is an SLRU of two lists, on probation and protected.

    Uses are counted when a block comes in, when it leaves the window, and when it is used in the main cache; only the
    latter age the sketch.

    As libCacheSim has it, the window knows no share: only when a block must go do blocks pass on to the main cache, all
    for which that has room. Whoever wins against the main cache's victim passes on as that leaves. Uses are counted
    by a Bloom filter for as many blocks as the main cache has, and the main cache is an SLRU as libCacheSim has it.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._window = Queue()
        self._main = Segments([0, 0])
        self._is_libcachesims = self.settings.variant == "libcachesim"
        window = max(share(self.n_blocks, self.settings.window_ratio), 1)
        self._sketch = Bloom(self.n_blocks - window) if self._is_libcachesims else Sketch(self.n_blocks)

    def _insert(self, key: int, size: int, ghost: str | None) -> None:
        self._sketch.add(key)
        self._window.append(key, size)
        if not self._is_libcachesims:
            self._pass_on(size, 0)

    def _hit(self, key: int) -> None:
        if key in self._window:
            self._window.renew(key)
            return
        self._sketch.add(key)
        self._sketch.age()
        self._fit(self.sizes[key])
        has_come_down = self._main.use(key)
        self._is_pushing_out = has_come_down and self._is_libcachesims

    def _overflow(self) -> int | None:
        return self._main.overflow() if self._is_pushing_out else None

    def _victim(self, size: int, ghost: str | None) -> int:
        window = self._window
        self._pass_on(size, size)
        main = self._main.victim()
        if main is None:
            return window.oldest()
        if not window or (not self._is_libcachesims and window.n_bytes + size <= self._window_bytes(size)):
            return main
        challenger = window.oldest()
        return main if self._sketch.estimate(challenger) > self._sketch.estimate(main) else challenger

    def _leave(self, key: int, size: int, evicted: bool) -> None:
        if key in self._main:
            self._main.remove(key)
            if self._is_libcachesims and evicted and not self._is_pushing_out:
                self._pass_on(size, 0)
            return
        self._window.remove(key)
        if evicted:
            self._sketch.add(key)

    def _window_bytes(self, size: int) -> int:
        """At least a block."""
        return max(self.share(size, self.settings.window_ratio), size)

    def _fit(self, size: int) -> int:
        """The bytes of the main cache, whose parts are fitted to blocks of this size."""
        main = self.whole(size) - self._window_bytes(size)
        protected = self.settings.protected_ratio
        # What is not protected, as a ratio that is written as exactly.
        self._main.limits = [share(main, round(1 - protected, 6)), share(main, protected)]
        return main

    def _pass_on(self, size: int, coming: int) -> None:
        """Let the window make room for ``coming`` bytes at the expense of the main cache's, while that has any.

        As libCacheSim has it: give that whatever it has room for.
        """
        window, main_bytes = self._window, self._fit(size)
        while window and (self._is_libcachesims or window.n_bytes + coming > self._window_bytes(size)):
            oldest = window.oldest()
            if self._main.n_bytes + self.sizes[oldest] > main_bytes:
                return
            self._sketch.add(oldest)
            self._main.insert(*window.pop())
