"""Segmented LRU (Karedla et al. 1994): four LRU lists of a quarter of the capacity each.

A block enters the lowest list, and each hit takes it one list up; a list that is too large lets its least recently used
go down one. While the tier fills, a block enters the lowest list that has room. ``aux``: which list.

W-TinyLFU's main cache is one too, of two lists; so the lists' number and limits are registers.
"""

from simulator.arrays import NONE, Ints
from simulator.compiled import internal
from simulator.residency import lists
from simulator.residency.layout import R_CAPACITY, R_POLICY, SIZE, Tier

SEGMENTS = 4
_N = R_POLICY
# Each list has first, last, bytes and the limit of its bytes.
_FIRST, _STEP = R_POLICY + 1, 4
# The first register that is free for others.
R_AFTER = _FIRST + SEGMENTS * _STEP


@internal
def _head(which: int) -> int:
    return _FIRST + which * _STEP


@internal
def enter(a: Ints, t: Tier, which: int, slot: int) -> None:
    """To the head of a list."""
    a[slot + t.aux] = which
    a[t.reg + _head(which) + 2] += a[slot + SIZE]
    lists.push_front(a, t, _head(which), slot)


@internal
def leave(a: Ints, t: Tier, slot: int) -> None:
    """Out of its list."""
    which = a[slot + t.aux]
    a[t.reg + _head(which) + 2] -= a[slot + SIZE]
    lists.unlink(a, t, _head(which), slot)


@internal
def add_list(a: Ints, t: Tier, limit: int) -> None:
    """Another list, above those that are there, for so many bytes."""
    which = a[t.reg + _N]
    a[t.reg + _N] += 1
    lists.clear(a, t, _head(which))
    a[t.reg + _head(which) + 2] = 0
    a[t.reg + _head(which) + 3] = limit


@internal
def limit(a: Ints, t: Tier, which: int, n_bytes: int) -> None:
    """A list is for so many bytes from now on."""
    a[t.reg + _head(which) + 3] = n_bytes


@internal
def n_bytes(a: Ints, t: Tier) -> int:
    """Of all lists."""
    total = 0
    for which in range(a[t.reg + _N]):
        total += a[t.reg + _head(which) + 2]
    return total


@internal
def clear(a: Ints, t: Tier) -> None:
    """Start without lists."""
    a[t.reg + _N] = 0


@internal
def setup(a: Ints, t: Tier) -> None:
    """Start empty."""
    clear(a, t)
    for _ in range(SEGMENTS):
        add_list(a, t, a[t.reg + R_CAPACITY] // SEGMENTS)


@internal
def on_hit(a: Ints, t: Tier, slot: int) -> None:
    """One list up; what is too much there goes down, list by list."""
    which = min(a[slot + t.aux] + 1, a[t.reg + _N] - 1)
    leave(a, t, slot)
    enter(a, t, which, slot)
    while which > 0:
        while a[t.reg + _head(which) + 2] > a[t.reg + _head(which) + 3]:
            last = lists.last(a, t, _head(which))
            leave(a, t, last)
            enter(a, t, which - 1, last)
        which -= 1


@internal
def on_insert(a: Ints, t: Tier, slot: int) -> None:
    """The lowest list that has room, or the lowest."""
    for which in range(a[t.reg + _N]):
        if a[t.reg + _head(which) + 2] + a[slot + SIZE] <= a[t.reg + _head(which) + 3]:
            enter(a, t, which, slot)
            return
    enter(a, t, 0, slot)


@internal
def victim(a: Ints, t: Tier) -> int:
    """The least recently used of the lowest list that has any, or NONE."""
    for which in range(a[t.reg + _N]):
        last = lists.last(a, t, _head(which))
        if last != NONE:
            return last
    return NONE


@internal
def on_remove(a: Ints, t: Tier, slot: int, evicted: bool) -> None:
    """Out of its list."""
    leave(a, t, slot)
