"""Naive twins of the eviction policies: dicts and lists, one block at a time, as the papers tell it.

No code is shared with ``simulator.residency``. ``request`` is a use if the block is there, else it makes room and puts
it in.
"""

from collections import OrderedDict
from collections.abc import Iterable
from fractions import Fraction
from typing import Any


class Naive:
    """The part that all share: sizes, room, admission, and prefetched blocks aside. A policy says who goes."""

    seed = 0

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size: dict[int, int] = {}
        self.n_out = 0
        self.enters, self.region = "front", 0
        self.aside: dict[int, tuple[int, int]] = {}  # key -> size, due; oldest first
        self.admission, self.value = "all", 0.0
        self.asked: dict[int, int] = {}
        self.n_asked = 0
        self.state = self.seed

    def below(self, n: int) -> int:
        """The next random number, as splitmix64 makes them."""
        self.state = (self.state + 0x9E3779B97F4A7C15) % 2**64
        x = self.state
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
        return ((x ^ (x >> 31)) >> 1) % n

    def used(self) -> int:
        return sum(self.size.values()) + sum(size for size, _ in self.aside.values())

    def __contains__(self, key: int) -> bool:
        return key in self.size or key in self.aside

    def request(self, key: int, size: int = 1, *, prefetched: bool = False) -> list[int] | None:
        """None for a hit, else the keys that do not stay, in order: itself alone if it is not admitted."""
        self.note(key)
        if key in self.aside:
            self.size[key] = self.aside.pop(key)[0]
            self.insert(key, None)
            return None
        if key in self.size:
            self.hit(key)
            return None
        mark = self.recall(key, size)
        gone: list[int] = []
        victim = self.next_victim(key, size, mark, prefetched)
        if not prefetched and not self.admits(key, size, victim):
            return [key]
        while victim is not None:
            self.drop(victim, evicted=True)
            gone.append(victim)
            victim = self.next_victim(key, size, mark, prefetched)
        if prefetched and self.enters != "front":
            self.aside[key] = (size, self.n_out + (len(self.size) + len(self.aside) + 1) // 2)
        else:
            self.size[key] = size
            self.insert(key, mark)
        return gone

    def next_victim(self, key: int, size: int, mark: Any, prefetched: bool) -> int | None:
        is_over = sum(s for s, _ in self.aside.values()) + size > self.region
        if prefetched and self.enters == "region" and self.aside and is_over:
            return next(iter(self.aside))
        if self.used() + size <= self.capacity:
            return None
        if self.aside and self.enters == "back":
            return list(self.aside)[-1]
        if self.aside and not self.size:
            return next(iter(self.aside))
        if self.aside and self.enters == "middle" and next(iter(self.aside.values()))[1] <= self.n_out:
            return next(iter(self.aside))
        return self.victim(key, size, mark)

    def note(self, key: int) -> None:
        self.asked[key] = min(self.asked.get(key, 0) + 1, 255)
        self.n_asked += 1
        if self.n_asked == 32 * self.capacity:
            self.n_asked = 0
            self.asked = {k: n // 2 for k, n in self.asked.items()}

    def admits(self, key: int, size: int, victim: int | None) -> bool:
        if self.admission == "size":
            return size <= self.value
        if self.admission == "probabilistic":
            return self.below(2**53) < round(self.value * 2**53)
        if self.admission == "tinylfu":
            return victim is None or self.asked[key] > self.asked.get(victim, 0)
        return True

    def remove(self, key: int) -> None:
        self.drop(key, evicted=False)

    def drop(self, key: int, *, evicted: bool) -> None:
        self.n_out += 1
        if key in self.aside:
            del self.aside[key]
            return
        self.leave(key, evicted)
        del self.size[key]

    def recall(self, key: int, size: int) -> Any:
        """What the policy remembers of a block that is about to come."""
        return None

    def hit(self, key: int) -> None:
        raise NotImplementedError

    def insert(self, key: int, mark: Any) -> None:
        raise NotImplementedError

    def victim(self, key: int, size: int, mark: Any) -> int:
        raise NotImplementedError

    def leave(self, key: int, evicted: bool) -> None:
        raise NotImplementedError

    def bytes_of(self, keys: Iterable[int]) -> int:
        return sum(self.size[key] for key in keys)


class Fifo(Naive):
    """The oldest goes."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.order: list[int] = []

    def hit(self, key: int) -> None:
        pass

    def insert(self, key: int, mark: Any) -> None:
        self.order.append(key)

    def victim(self, key: int, size: int, mark: Any) -> int:
        return self.order[0]

    def leave(self, key: int, evicted: bool) -> None:
        self.order.remove(key)


class Lru(Fifo):
    """The one used longest ago goes."""

    def hit(self, key: int) -> None:
        self.order.remove(key)
        self.order.append(key)


class Clock(Fifo):
    """The oldest goes, unless it was used: then it goes to the back, unused."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.marked: set[int] = set()

    def hit(self, key: int) -> None:
        self.marked.add(key)

    def victim(self, key: int, size: int, mark: Any) -> int:
        while self.order[0] in self.marked:
            self.marked.remove(self.order[0])
            self.order.append(self.order.pop(0))
        return self.order[0]

    def leave(self, key: int, evicted: bool) -> None:
        super().leave(key, evicted)
        self.marked.discard(key)


class Sieve(Fifo):
    """A hand goes from old to new; marked blocks are unmarked and spared, where they are."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.marked: set[int] = set()
        self.hand: int | None = None

    def hit(self, key: int) -> None:
        self.marked.add(key)

    def victim(self, key: int, size: int, mark: Any) -> int:
        at = 0 if self.hand is None else self.order.index(self.hand)
        while self.order[at] in self.marked:
            self.marked.remove(self.order[at])
            at = (at + 1) % len(self.order)
        self.hand = self.order[at]
        return self.hand

    def leave(self, key: int, evicted: bool) -> None:
        if self.hand == key:
            at = self.order.index(key) + 1
            self.hand = self.order[at] if at < len(self.order) else None
        super().leave(key, evicted)
        self.marked.discard(key)


class Priority(Naive):
    """The least priority goes; of equals the one used longest ago."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.count: dict[int, int] = {}
        self.rank: dict[int, Any] = {}
        self.time: dict[int, int] = {}
        self.now = 0
        self.age: Any = 0

    def priority(self, key: int) -> Any:
        raise NotImplementedError

    def hit(self, key: int) -> None:
        self.now += 1
        self.count[key] = self.count.get(key, 0) + 1
        self.time[key] = self.now
        self.rank[key] = self.priority(key)

    def insert(self, key: int, mark: Any) -> None:
        self.hit(key)

    def victim(self, key: int, size: int, mark: Any) -> int:
        return min(self.rank, key=lambda k: (self.rank[k], self.time[k]))

    def leave(self, key: int, evicted: bool) -> None:
        if evicted:
            self.age = self.rank[key]
        for table in (self.count, self.rank, self.time):
            del table[key]


class Lfu(Priority):
    """Uses since it came in."""

    def priority(self, key: int) -> int:
        return self.count[key]


class Lfuda(Priority):
    """Uses, and the rank of the last that went."""

    def priority(self, key: int) -> int:
        return self.age + self.count[key]


class Gdsf(Priority):
    """Uses by size, and the rank of the last that went."""

    def priority(self, key: int) -> Fraction:
        return self.age + Fraction(self.count[key] * (2**40 // self.size[key]), 2**40)


class Belady(Naive):
    """The one used again last goes; of those never used again, the one that came or was used first."""

    def __init__(self, capacity: int, keys: list[int]) -> None:
        super().__init__(capacity)
        self.keys, self.at = keys, -1
        self.came: dict[int, int] = {}
        self.now = 0

    def next_use(self, key: int) -> float:
        later = [i for i, k in enumerate(self.keys) if k == key and i > self.at]
        return min(later, default=float("inf"))

    def request(self, key: int, size: int = 1, *, prefetched: bool = False) -> list[int] | None:
        self.at += not prefetched
        return super().request(key, size, prefetched=prefetched)

    def hit(self, key: int) -> None:
        pass

    def insert(self, key: int, mark: Any) -> None:
        self.now += 1
        self.came[key] = self.now

    def victim(self, key: int, size: int, mark: Any) -> int:
        return min(self.size, key=lambda k: (-self.next_use(k), self.came[k]))

    def leave(self, key: int, evicted: bool) -> None:
        pass


class Lists(Naive):
    """Several lists, oldest first, and lists of ghosts with the sizes that they had."""

    names: tuple[str, ...] = ()
    ghost_names: tuple[str, ...] = ()

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.lists: dict[str, list[int]] = {name: [] for name in self.names}
        self.ghosts: dict[str, OrderedDict[int, int]] = {name: OrderedDict() for name in self.ghost_names}

    def of(self, key: int) -> str:
        return next(name for name, keys in self.lists.items() if key in keys)

    def bytes(self, name: str) -> int:
        return self.bytes_of(self.lists[name])

    def ghost_bytes(self, name: str) -> int:
        return sum(self.ghosts[name].values())

    def move(self, key: int, name: str) -> None:
        self.lists[self.of(key)].remove(key)
        self.lists[name].append(key)

    def recall(self, key: int, size: int) -> Any:
        for name, held in self.ghosts.items():
            if key in held:
                return self.remembered(key, name)
        return None

    def remembered(self, key: int, name: str) -> Any:
        del self.ghosts[name][key]
        return name

    def leave(self, key: int, evicted: bool) -> None:
        self.lists[self.of(key)].remove(key)

    def haunt(self, key: int, name: str, limit: int) -> None:
        """Remember a key; the oldest ghosts make room for it."""
        if self.size[key] > limit:
            return
        while self.ghost_bytes(name) + self.size[key] > limit:
            self.ghosts[name].popitem(last=False)
        self.ghosts[name][key] = self.size[key]


class Arc(Lists):
    """T1 and T2 with the ghosts B1 and B2, and the target p for T1."""

    names, ghost_names = ("t1", "t2"), ("b1", "b2")

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.p = Fraction(0)
        self.silent: int | None = None

    def hit(self, key: int) -> None:
        self.move(key, "t2")

    def remembered(self, key: int, name: str) -> Any:
        b1, b2 = max(self.ghost_bytes("b1"), 1), max(self.ghost_bytes("b2"), 1)
        size = self.ghosts[name][key]
        most = Fraction(self.capacity // size * size)
        if name == "b1":
            self.p = min(self.p + size * max(Fraction((b2 << 20) // b1, 1 << 20), Fraction(1)), most)
        else:
            self.p = max(self.p - size * max(Fraction((b1 << 20) // b2, 1 << 20), Fraction(1)), Fraction(0))
        return super().remembered(key, name)

    def insert(self, key: int, mark: Any) -> None:
        self.lists["t1" if mark is None else "t2"].append(key)

    def victim(self, key: int, size: int, mark: Any) -> int:
        self.silent = None
        capacity = self.capacity // size * size
        t1, t2 = self.lists["t1"], self.lists["t2"]
        if mark is None:
            l1 = self.bytes("t1") + self.ghost_bytes("b1") + size
            if l1 > capacity and not self.ghosts["b1"]:
                self.silent = t1[0]
                return t1[0]
            if l1 > capacity:
                self.cut("b1", l1 - capacity)
            else:
                self.cut("b2", l1 + self.bytes("t2") + self.ghost_bytes("b2") - 2 * capacity)
        n = self.bytes("t1")
        if not t2 or (t1 and (n > self.p or (mark == "b2" and n == self.p))):
            return t1[0]
        return t2[0]

    def cut(self, name: str, excess: int) -> None:
        while excess > 0 and self.ghosts[name]:
            excess -= self.ghosts[name].popitem(last=False)[1]

    def leave(self, key: int, evicted: bool) -> None:
        name = self.of(key)
        super().leave(key, evicted)
        if evicted and key != self.silent:
            self.ghosts["b" + name[1]][key] = self.size[key]


class TwoQ(Lists):
    """A1in (a quarter, FIFO), A1out (ghosts, a half) and Am (LRU)."""

    names, ghost_names = ("a1in", "am"), ("a1out",)

    def hit(self, key: int) -> None:
        if self.of(key) == "am":
            self.move(key, "am")

    def insert(self, key: int, mark: Any) -> None:
        self.lists["am" if mark else "a1in"].append(key)

    def victim(self, key: int, size: int, mark: Any) -> int:
        too_many = self.bytes("a1in") > self.capacity // 4
        return self.lists["a1in" if too_many or not self.lists["am"] else "am"][0]

    def leave(self, key: int, evicted: bool) -> None:
        name = self.of(key)
        super().leave(key, evicted)
        if evicted and name == "a1in":
            self.haunt(key, "a1out", self.capacity // 2)


class S3Fifo(Lists):
    """A small queue (a tenth), a main queue and ghosts (nine tenths)."""

    names, ghost_names = ("small", "main"), ("ghost",)

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.uses: dict[int, int] = {}
        self.evicts = False

    def hit(self, key: int) -> None:
        self.uses[key] = min(self.uses[key] + 1, 3)

    def insert(self, key: int, mark: Any) -> None:
        n_blocks = self.capacity // self.size[key]
        filled = not self.evicts and self.bytes("small") >= n_blocks // 10 * self.size[key]
        self.lists["main" if mark or filled else "small"].append(key)
        self.uses[key] = 0

    def victim(self, key: int, size: int, mark: Any) -> int:
        self.evicts = True
        small, main = self.lists["small"], self.lists["main"]
        n_blocks = self.capacity // size
        if self.bytes("main") <= (n_blocks - n_blocks // 10) * size:
            while small:
                if self.uses[small[0]] < 2:
                    return small[0]
                self.uses[small[0]] = 0
                main.append(small.pop(0))
        while main:
            if self.uses[main[0]] == 0:
                return main[0]
            self.uses[main[0]] -= 1
            main.append(main.pop(0))
        return small[0]

    def leave(self, key: int, evicted: bool) -> None:
        name = self.of(key)
        super().leave(key, evicted)
        del self.uses[key]
        if evicted and name == "small":
            self.haunt(key, "ghost", self.capacity // self.size[key] * 9 // 10 * self.size[key])


class Slru(Lists):
    """Four lists of a quarter: up by one with each hit, down by one when a list is too large."""

    names = ("s0", "s1", "s2", "s3")

    def limits(self) -> list[int]:
        return [self.capacity // 4] * 4

    def hit(self, key: int) -> None:
        at = min(int(self.of(key)[1]) + 1, len(self.names) - 1)
        self.move(key, f"s{at}")
        for i in range(at, 0, -1):
            while self.bytes(f"s{i}") > self.limits()[i]:
                self.move(self.lists[f"s{i}"][0], f"s{i - 1}")

    def insert(self, key: int, mark: Any) -> None:
        fits = [n for n, m in zip(self.names, self.limits(), strict=True) if self.bytes(n) + self.size[key] <= m]
        self.lists[fits[0] if fits else "s0"].append(key)

    def victim(self, key: int, size: int, mark: Any) -> int:
        return next(keys[0] for keys in self.lists.values() if keys)


class Lirs(Naive):
    """The stack S, oldest first, with LIR blocks, HIR blocks and ghosts; the queue Q of resident HIR blocks."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.stack: OrderedDict[int, None] = OrderedDict()
        self.lir: set[int] = set()
        self.queue: list[int] = []
        self.ghosts: OrderedDict[int, int] = OrderedDict()

    def limit(self, size: int) -> int:
        n_blocks = self.capacity // size
        return (n_blocks - max(n_blocks // 100, 1)) * size

    def recall(self, key: int, size: int) -> Any:
        if key not in self.ghosts:
            return None
        del self.ghosts[key], self.stack[key]
        return True

    def prune(self) -> None:
        while self.stack and next(iter(self.stack)) not in self.lir:
            self.ghosts.pop(self.stack.popitem(last=False)[0], None)

    def shrink(self, size: int) -> None:
        while self.bytes_of(self.lir) > self.limit(size):
            oldest = next(iter(self.stack))
            del self.stack[oldest]
            self.lir.remove(oldest)
            self.queue.append(oldest)
            self.prune()

    def bound(self, size: int) -> None:
        most = 2 * (self.capacity // size * size)
        while sum(self.size.get(k) or self.ghosts[k] for k in self.stack) > most and self.ghosts:
            del self.stack[self.ghosts.popitem(last=False)[0]]

    def top(self, key: int) -> None:
        self.stack[key] = None
        self.stack.move_to_end(key)

    def hit(self, key: int) -> None:
        if key in self.lir:
            self.top(key)
        else:
            self.queue.remove(key)
            if key in self.stack:
                self.lir.add(key)
            else:
                self.queue.append(key)
            self.top(key)
            self.shrink(self.size[key])
        self.prune()
        self.bound(self.size[key])

    def insert(self, key: int, mark: Any) -> None:
        size = self.size[key]
        if mark or self.bytes_of(self.lir) + size <= self.limit(size):
            self.lir.add(key)
            self.top(key)
            self.shrink(size)
        else:
            self.top(key)
            self.queue.append(key)
        self.prune()
        self.bound(size)

    def victim(self, key: int, size: int, mark: Any) -> int:
        return self.queue[0] if self.queue else next(iter(self.stack))

    def leave(self, key: int, evicted: bool) -> None:
        if key in self.lir:
            self.lir.remove(key)
            del self.stack[key]
            self.prune()
            return
        self.queue.remove(key)
        if key in self.stack and evicted:
            self.ghosts[key] = self.size[key]
        else:
            self.stack.pop(key, None)


class WTinyLfu(Slru):
    """A window (a hundredth, LRU) and a main cache of two lists; who leaves the window must be asked for more often.

    Counts are exact here: traces must be short enough for the sketch to have no collisions.
    """

    names = ("s0", "s1")

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.window: list[int] = []
        self.counts: dict[int, int] = {}
        self.n_hits = 0
        self.at_hand = 1

    def parts(self) -> tuple[int, int]:
        """Bytes of window and main cache, in blocks of the size at hand."""
        n_blocks = self.capacity // self.at_hand
        window = max(n_blocks // 100, 1)
        return window * self.at_hand, (n_blocks - window) * self.at_hand

    def limits(self) -> list[int]:
        main = self.parts()[1]
        return [main // 5, main * 4 // 5]

    def add(self, key: int) -> None:
        self.counts[key] = min(self.counts.get(key, 0) + 1, 255)

    def hit(self, key: int) -> None:
        if key in self.window:
            self.window.remove(key)
            self.window.append(key)
            return
        self.add(key)
        self.n_hits += 1
        if self.n_hits == 32 * self.capacity:
            self.n_hits = 0
            self.counts = {k: n // 2 for k, n in self.counts.items()}
        self.at_hand = self.size[key]
        super().hit(key)

    def insert(self, key: int, mark: Any) -> None:
        self.add(key)
        self.window.append(key)
        self.at_hand = self.size[key]
        self.pass_on(0)

    def pass_on(self, coming: int) -> None:
        window, main = self.parts()
        while self.window and self.bytes_of(self.window) + coming > window:
            key = self.window[0]
            if self.bytes("s0") + self.bytes("s1") + self.size[key] > main:
                return
            self.add(key)
            self.window.pop(0)
            super().insert(key, None)

    def victim(self, key: int, size: int, mark: Any) -> int:
        self.at_hand = size
        self.pass_on(size)
        if not self.lists["s0"] and not self.lists["s1"]:
            return self.window[0]
        main = super().victim(key, size, mark)
        if not self.window or self.bytes_of(self.window) + size <= self.parts()[0]:
            return main
        challenger = self.window[0]
        return main if self.counts[challenger] > self.counts[main] else challenger

    def leave(self, key: int, evicted: bool) -> None:
        if key not in self.window:
            super().leave(key, evicted)
            return
        self.window.remove(key)
        if evicted:
            self.add(key)


class Random(Naive):
    """Any goes: the same numbers as the real one draws, over the same bag, whose last takes the place of who leaves."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.bag: list[int] = []

    def hit(self, key: int) -> None:
        pass

    def insert(self, key: int, mark: Any) -> None:
        self.bag.append(key)

    def victim(self, key: int, size: int, mark: Any) -> int:
        return self.bag[self.below(len(self.bag))]

    def leave(self, key: int, evicted: bool) -> None:
        at = self.bag.index(key)
        self.bag[at] = self.bag[-1]
        self.bag.pop()


class Hyperbolic(Random):
    """Of 64 drawn, the fewest uses for the time that it has been there."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.now = 0
        self.uses: dict[int, int] = {}
        self.since: dict[int, int] = {}

    def hit(self, key: int) -> None:
        self.now += 1
        self.uses[key] += 1

    def insert(self, key: int, mark: Any) -> None:
        super().insert(key, mark)
        self.now += 1
        self.uses[key], self.since[key] = 1, self.now

    def victim(self, key: int, size: int, mark: Any) -> int:
        drawn = [self.bag[self.below(len(self.bag))] for _ in range(64)]
        return min(drawn, key=lambda k: Fraction(self.uses[k], self.now + 1 - self.since[k]))


NAIVE: dict[str, type[Any]] = {
    "lru": Lru, "fifo": Fifo, "clock": Clock, "sieve": Sieve, "s3fifo": S3Fifo, "lfu": Lfu, "lfuda": Lfuda, "arc": Arc,
    "2q": TwoQ, "slru": Slru, "lirs": Lirs, "wtinylfu": WTinyLfu, "gdsf": Gdsf, "random": Random,
    "hyperbolic": Hyperbolic,
}  # fmt: skip
