"""W-TinyLFU (Einziger, Friedman & Manes, TOS 2017): a window in front of a main cache that only frequent blocks enter.

The window is an LRU of a hundredth of the capacity. What it lets go challenges the main cache's next victim; the one
asked for less often of late, by a sketch, leaves the tier. The main cache is a segmented LRU of two lists, a fifth of
it on probation. ``aux``: which of its lists, or the window.
"""

from simulator.arrays import NONE, Ints
from simulator.compiled import internal
from simulator.residency import lists, shares, sketch, slru
from simulator.residency.layout import KEY, R_AREA, R_COMING, SIZE, Tier

_WINDOW = 2
_HEAD, _BYTES = slru.R_AFTER, slru.R_AFTER + 2


@internal
def _window_limit(a: Ints, t: Tier, size: int) -> int:
    return max(shares.share(a, t, size, 1, 100), size)


@internal
def _main_limit(a: Ints, t: Tier, size: int) -> int:
    return shares.whole(a, t, size) - _window_limit(a, t, size)


@internal
def _fit(a: Ints, t: Tier, size: int) -> None:
    """Set the limits of the main cache's lists for blocks of this size."""
    main = _main_limit(a, t, size)
    slru.limit(a, t, 0, main // 5)
    slru.limit(a, t, 1, main * 4 // 5)


@internal
def _enter(a: Ints, t: Tier, slot: int) -> None:
    a[slot + t.aux] = _WINDOW
    a[t.reg + _BYTES] += a[slot + SIZE]
    lists.push_front(a, t, _HEAD, slot)


@internal
def _leave(a: Ints, t: Tier, slot: int) -> None:
    a[t.reg + _BYTES] -= a[slot + SIZE]
    lists.unlink(a, t, _HEAD, slot)


@internal
def setup(a: Ints, t: Tier) -> None:
    """Start empty; the residency sets up the sketch."""
    slru.clear(a, t)
    slru.add_list(a, t, 0)
    slru.add_list(a, t, 0)
    lists.clear(a, t, _HEAD)
    a[t.reg + _BYTES] = 0


@internal
def on_hit(a: Ints, t: Tier, slot: int) -> None:
    """In the window to its head; in the main cache one list up."""
    if a[slot + t.aux] == _WINDOW:
        _leave(a, t, slot)
        _enter(a, t, slot)
    else:
        sketch.add(a, a[t.reg + R_AREA], a[slot + KEY])
        sketch.age(a, a[t.reg + R_AREA])
        _fit(a, t, a[slot + SIZE])
        slru.on_hit(a, t, slot)


@internal
def on_insert(a: Ints, t: Tier, slot: int) -> None:
    """Into the window; what it has too much goes to the main cache while that has room."""
    sketch.add(a, a[t.reg + R_AREA], a[slot + KEY])
    _enter(a, t, slot)
    _pass_on(a, t, a[slot + SIZE], 0)


@internal
def _pass_on(a: Ints, t: Tier, size: int, coming: int) -> None:
    """Let the window make room for ``coming`` bytes by passing blocks on to a main cache that has room for them."""
    _fit(a, t, size)
    last = lists.last(a, t, _HEAD)
    while last != NONE and a[t.reg + _BYTES] + coming > _window_limit(a, t, size):
        if slru.n_bytes(a, t) + a[last + SIZE] > _main_limit(a, t, size):
            return
        sketch.add(a, a[t.reg + R_AREA], a[last + KEY])
        _leave(a, t, last)
        slru.on_insert(a, t, last)
        last = lists.last(a, t, _HEAD)


@internal
def victim(a: Ints, t: Tier) -> int:
    """The loser of the window's last and the main cache's next victim; the latter alone where the window has room."""
    size = a[a[t.reg + R_COMING] + SIZE]
    _pass_on(a, t, size, size)
    candidate, main = lists.last(a, t, _HEAD), slru.victim(a, t)
    if main == NONE:
        return candidate
    if candidate == NONE or a[t.reg + _BYTES] + size <= _window_limit(a, t, size):
        return main
    area = a[t.reg + R_AREA]
    wins = sketch.estimate(a, area, a[candidate + KEY]) > sketch.estimate(a, area, a[main + KEY])
    return main if wins else candidate


@internal
def on_remove(a: Ints, t: Tier, slot: int, evicted: bool) -> None:
    """Out of the window or the main cache."""
    if a[slot + t.aux] != _WINDOW:
        slru.leave(a, t, slot)
        return
    _leave(a, t, slot)
    if evicted:
        sketch.add(a, a[t.reg + R_AREA], a[slot + KEY])
