"""2Q, full version (Johnson & Shasha, VLDB 1994): a first-in-first-out queue, an LRU list, and ghosts of the queue.

A quarter of the capacity is the queue's, ghosts are remembered for half of it. A block is in the LRU list if it was
asked for again after it had left the queue. ``aux``: which list.
"""

from simulator.arrays import NONE, Ints
from simulator.compiled import internal
from simulator.residency import ghosts, lists
from simulator.residency.layout import R_CAPACITY, R_POLICY, SIZE, Tier

_NEW, _QUEUE, _MAIN, _GHOST = range(4)
_STEP = 3


@internal
def _head(which: int) -> int:
    return R_POLICY + (which - _QUEUE) * _STEP


@internal
def _enter(a: Ints, t: Tier, which: int, slot: int, size: int) -> None:
    a[slot + t.aux] = which
    a[t.reg + _head(which) + 2] += size
    lists.push_front(a, t, _head(which), slot)


@internal
def _leave(a: Ints, t: Tier, slot: int, size: int) -> None:
    which = a[slot + t.aux]
    a[t.reg + _head(which) + 2] -= size
    lists.unlink(a, t, _head(which), slot)


@internal
def setup(a: Ints, t: Tier) -> None:
    """Start empty."""
    for which in range(_QUEUE, _GHOST + 1):
        lists.clear(a, t, _head(which))
        a[t.reg + _head(which) + 2] = 0


@internal
def on_hit(a: Ints, t: Tier, slot: int) -> None:
    """To the head of the LRU list if it is there; the queue is blind to hits."""
    if a[slot + t.aux] == _MAIN and lists.first(a, t, _head(_MAIN)) != slot:
        lists.unlink(a, t, _head(_MAIN), slot)
        lists.push_front(a, t, _head(_MAIN), slot)


@internal
def recall(a: Ints, t: Tier, slot: int) -> None:
    """A ghost goes to the LRU list."""
    _leave(a, t, slot, ghosts.size(a, t, slot))
    ghosts.wake(a, t, slot)


@internal
def on_insert(a: Ints, t: Tier, slot: int) -> None:
    """Ghosts to the LRU list, others to the queue."""
    _enter(a, t, _MAIN if a[slot + t.aux] == _GHOST else _QUEUE, slot, a[slot + SIZE])


@internal
def victim(a: Ints, t: Tier) -> int:
    """From the queue if that has outgrown its share, else the least recently used of the list."""
    main = lists.last(a, t, _head(_MAIN))
    if main == NONE or a[t.reg + _head(_QUEUE) + 2] > a[t.reg + R_CAPACITY] // 4:
        return lists.last(a, t, _head(_QUEUE))
    return main


@internal
def on_remove(a: Ints, t: Tier, slot: int, evicted: bool) -> None:
    """What the queue lets go is remembered; the oldest ghosts make room."""
    size, which = a[slot + SIZE], a[slot + t.aux]
    _leave(a, t, slot, size)
    limit = a[t.reg + R_CAPACITY] // 2
    if not evicted or which != _QUEUE or size > limit:
        return
    while a[t.reg + _head(_GHOST) + 2] + size > limit:
        oldest = lists.last(a, t, _head(_GHOST))
        _leave(a, t, oldest, ghosts.size(a, t, oldest))
        ghosts.forget(a, t, oldest)
    _enter(a, t, _GHOST, slot, size)
    ghosts.keep(a, t, slot)
