"""ARC (Megiddo & Modha, FAST 2003): blocks used once and blocks used again, the balance moved by hits in ghosts.

Bytes stand where the paper counts pages, and the target moves by as many as the block has. ``aux``: which list a
block or a ghost is in; of a block that is coming in, which list of ghosts it was in.
"""

from simulator.arrays import NONE, Ints
from simulator.compiled import internal
from simulator.residency import ghosts, lists, shares
from simulator.residency.layout import R_CAPACITY, R_COMING, R_POLICY, SIZE, Tier

NEW, ONCE, AGAIN, GHOST_ONCE, GHOST_AGAIN = range(5)
# Each list has first, last and bytes; the lists are numbered as ``aux`` numbers them, from ONCE on.
_STEP = 3
_TARGET = R_POLICY + 4 * _STEP
_DROP = _TARGET + 1


@internal
def _head(which: int) -> int:
    return R_POLICY + (which - ONCE) * _STEP


@internal
def _fine(a: Ints, t: Tier) -> int:
    """The target for the bytes of ONCE is a fraction, in units of 2^-_fine."""
    return 20 if a[t.reg + R_CAPACITY] < 1 << 42 else 6


@internal
def _bytes(a: Ints, t: Tier, which: int) -> int:
    return a[t.reg + _head(which) + 2]


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
    """Start empty, with a target of 0 for what was used once."""
    for which in range(ONCE, GHOST_AGAIN + 1):
        lists.clear(a, t, _head(which))
        a[t.reg + _head(which) + 2] = 0
    a[t.reg + _TARGET] = 0
    a[t.reg + _DROP] = NONE


@internal
def on_hit(a: Ints, t: Tier, slot: int) -> None:
    """Used again."""
    size = a[slot + SIZE]
    _leave(a, t, slot, size)
    _enter(a, t, AGAIN, slot, size)


@internal
def recall(a: Ints, t: Tier, slot: int) -> None:
    """A ghost hit: that side should have been larger. The step is so many blocks as the other ghosts outweigh these."""
    which, fine, size = a[slot + t.aux], _fine(a, t), ghosts.size(a, t, slot)
    once, again = max(_bytes(a, t, GHOST_ONCE), 1), max(_bytes(a, t, GHOST_AGAIN), 1)
    if which == GHOST_ONCE:
        step = max((again << fine) // once, 1 << fine) * size
        a[t.reg + _TARGET] = min(a[t.reg + _TARGET] + step, shares.whole(a, t, size) << fine)
    else:
        step = max((once << fine) // again, 1 << fine) * size
        a[t.reg + _TARGET] = max(a[t.reg + _TARGET] - step, 0)
    _leave(a, t, slot, size)
    ghosts.wake(a, t, slot)


@internal
def on_insert(a: Ints, t: Tier, slot: int) -> None:
    """A block that was a ghost has been used again; others once."""
    _enter(a, t, ONCE if a[slot + t.aux] == NEW else AGAIN, slot, a[slot + SIZE])


@internal
def _trim(a: Ints, t: Tier, which: int, excess: int) -> None:
    """Forget the oldest ghosts of a list until so many bytes are gone or none is left."""
    while excess > 0 and lists.last(a, t, _head(which)) != NONE:
        slot = lists.last(a, t, _head(which))
        size = ghosts.size(a, t, slot)
        _leave(a, t, slot, size)
        ghosts.forget(a, t, slot)
        excess -= size


@internal
def victim(a: Ints, t: Tier) -> int:
    """The oldest of one of the two lists, by the target; ghosts make room for the one that will be made."""
    coming = a[t.reg + R_COMING]
    size, was = a[coming + SIZE], a[coming + t.aux]
    capacity = shares.whole(a, t, size)
    once, again = _bytes(a, t, ONCE), _bytes(a, t, AGAIN)
    a[t.reg + _DROP] = NONE
    if was == NEW:
        seen_once = once + _bytes(a, t, GHOST_ONCE) + size
        if seen_once > capacity and _bytes(a, t, GHOST_ONCE) == 0:
            a[t.reg + _DROP] = lists.last(a, t, _head(ONCE))
            return a[t.reg + _DROP]
        if seen_once > capacity:
            _trim(a, t, GHOST_ONCE, seen_once - capacity)
        else:
            _trim(a, t, GHOST_AGAIN, seen_once + again + _bytes(a, t, GHOST_AGAIN) - 2 * capacity)
    fine_once = once << _fine(a, t)
    from_once = fine_once > a[t.reg + _TARGET] or (was == GHOST_AGAIN and fine_once == a[t.reg + _TARGET])
    if again == 0 or (once > 0 and from_once):
        return lists.last(a, t, _head(ONCE))
    return lists.last(a, t, _head(AGAIN))


@internal
def on_remove(a: Ints, t: Tier, slot: int, evicted: bool) -> None:
    """What is evicted is remembered, but where blocks used once fill the whole tier."""
    size, which = a[slot + SIZE], a[slot + t.aux]
    _leave(a, t, slot, size)
    if evicted and slot != a[t.reg + _DROP]:
        _enter(a, t, which + 2, slot, size)
        ghosts.keep(a, t, slot)
