"""S3-FIFO (Yang et al., SOSP 2023): a small queue that filters, a main queue, and ghosts of what the filter let go.

A tenth of the capacity is the small queue's; ghosts are remembered for nine tenths of it. A block leaves the small
queue for the main one if it was used twice there. Until the first eviction the small queue takes no more than its
share, and further blocks go to the main queue.

``aux``: 4 x the number of uses since (3 at most), and which queue: small, main, ghosts.
"""

from simulator.arrays import Ints
from simulator.compiled import internal
from simulator.residency import ghosts, lists, shares
from simulator.residency.layout import R_COMING, R_POLICY, SIZE, Tier

_NEW, _SMALL, _MAIN, _GHOST = range(4)
_MOST, _PROMOTE = 3, 2
_STEP = 3
_HAS_EVICTED = R_POLICY + 3 * _STEP


@internal
def _head(which: int) -> int:
    return R_POLICY + (which - _SMALL) * _STEP


@internal
def _bytes(a: Ints, t: Tier, which: int) -> int:
    return a[t.reg + _head(which) + 2]


@internal
def _enter(a: Ints, t: Tier, which: int, uses: int, slot: int, size: int) -> None:
    a[slot + t.aux] = uses * 4 + which
    a[t.reg + _head(which) + 2] += size
    lists.push_front(a, t, _head(which), slot)


@internal
def _leave(a: Ints, t: Tier, slot: int, size: int) -> None:
    which = a[slot + t.aux] % 4
    a[t.reg + _head(which) + 2] -= size
    lists.unlink(a, t, _head(which), slot)


@internal
def setup(a: Ints, t: Tier) -> None:
    """Start empty."""
    for which in range(_SMALL, _GHOST + 1):
        lists.clear(a, t, _head(which))
        a[t.reg + _head(which) + 2] = 0
    a[t.reg + _HAS_EVICTED] = 0


@internal
def on_hit(a: Ints, t: Tier, slot: int) -> None:
    """Count the use."""
    if a[slot + t.aux] < _MOST * 4:
        a[slot + t.aux] += 4


@internal
def recall(a: Ints, t: Tier, slot: int) -> None:
    """A ghost goes to the main queue."""
    _leave(a, t, slot, ghosts.size(a, t, slot))
    a[slot + t.aux] = _GHOST
    ghosts.wake(a, t, slot)


@internal
def on_insert(a: Ints, t: Tier, slot: int) -> None:
    """Ghosts to the main queue, others to the small one."""
    size = a[slot + SIZE]
    is_full = a[t.reg + _HAS_EVICTED] == 0 and _bytes(a, t, _SMALL) >= shares.share(a, t, size, 1, 10)
    which = _MAIN if a[slot + t.aux] == _GHOST or is_full else _SMALL
    _enter(a, t, which, 0, slot, size)


@internal
def victim(a: Ints, t: Tier) -> int:
    """From the main queue if that has outgrown its share, else from the small one."""
    a[t.reg + _HAS_EVICTED] = 1
    coming = a[a[t.reg + R_COMING] + SIZE]
    of_main = shares.whole(a, t, coming) - shares.share(a, t, coming, 1, 10)
    while True:
        if _bytes(a, t, _MAIN) <= of_main:
            while _bytes(a, t, _SMALL) > 0:
                slot = lists.last(a, t, _head(_SMALL))
                if a[slot + t.aux] // 4 < _PROMOTE:
                    return slot
                _leave(a, t, slot, a[slot + SIZE])
                _enter(a, t, _MAIN, 0, slot, a[slot + SIZE])
        while _bytes(a, t, _MAIN) > 0:
            slot = lists.last(a, t, _head(_MAIN))
            uses = a[slot + t.aux] // 4
            if uses == 0:
                return slot
            _leave(a, t, slot, a[slot + SIZE])
            _enter(a, t, _MAIN, uses - 1, slot, a[slot + SIZE])
        return lists.last(a, t, _head(_SMALL))


@internal
def on_remove(a: Ints, t: Tier, slot: int, evicted: bool) -> None:
    """What the small queue lets go is remembered; the oldest ghosts make room."""
    size, which = a[slot + SIZE], a[slot + t.aux] % 4
    _leave(a, t, slot, size)
    limit = shares.share(a, t, size, 9, 10)
    if not evicted or which != _SMALL or size > limit:
        return
    while _bytes(a, t, _GHOST) + size > limit:
        oldest = lists.last(a, t, _head(_GHOST))
        _leave(a, t, oldest, ghosts.size(a, t, oldest))
        ghosts.forget(a, t, oldest)
    _enter(a, t, _GHOST, 0, slot, size)
    ghosts.keep(a, t, slot)
