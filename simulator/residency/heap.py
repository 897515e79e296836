"""A heap of a tier's blocks by (``aux``, first further field), least first; also a bag to draw from at random.

Element ``i`` lies in the ``next`` field of the arena's row number ``i``, whatever block that row is: the heap needs no
room of its own, and grows with the arena. A block's place in the heap is in its own ``prev``.
"""

from simulator.arrays import Ints
from simulator.compiled import internal
from simulator.residency.layout import H_ROWS, H_WIDTH, R_EXTRA, R_POLICY, Tier

COUNT = R_POLICY


@internal
def clear(a: Ints, t: Tier) -> None:
    """Make it empty."""
    a[t.reg + COUNT] = 0


@internal
def at(a: Ints, t: Tier, i: int) -> int:
    """The slot at place ``i``; place 0 has the least."""
    return a[a[H_ROWS] + i * a[H_WIDTH] + t.next]


@internal
def _put(a: Ints, t: Tier, i: int, slot: int) -> None:
    a[a[H_ROWS] + i * a[H_WIDTH] + t.next] = slot
    a[slot + t.prev] = i


@internal
def _before(a: Ints, t: Tier, x: int, y: int) -> bool:
    if a[x + t.aux] != a[y + t.aux]:
        return a[x + t.aux] < a[y + t.aux]
    extra = a[t.reg + R_EXTRA]
    return a[x + extra] < a[y + extra]


@internal
def _up(a: Ints, t: Tier, i: int, slot: int) -> int:
    while i > 0:
        parent = (i - 1) // 2
        other = at(a, t, parent)
        if not _before(a, t, slot, other):
            break
        _put(a, t, i, other)
        i = parent
    return i


@internal
def _down(a: Ints, t: Tier, i: int, slot: int) -> int:
    n = a[t.reg + COUNT]
    while True:
        child = 2 * i + 1
        if child >= n:
            return i
        other = at(a, t, child)
        if child + 1 < n:
            right = at(a, t, child + 1)
            if _before(a, t, right, other):
                child, other = child + 1, right
        if not _before(a, t, other, slot):
            return i
        _put(a, t, i, other)
        i = child


@internal
def fix(a: Ints, t: Tier, slot: int) -> None:
    """The order of a block that is in the heap has changed."""
    i = _up(a, t, a[slot + t.prev], slot)
    _put(a, t, _down(a, t, i, slot), slot)


@internal
def push(a: Ints, t: Tier, slot: int) -> None:
    """Take a block in."""
    i = a[t.reg + COUNT]
    a[t.reg + COUNT] = i + 1
    _put(a, t, _up(a, t, i, slot), slot)


@internal
def remove(a: Ints, t: Tier, slot: int) -> None:
    """Take a block out."""
    n = a[t.reg + COUNT] - 1
    a[t.reg + COUNT] = n
    i = a[slot + t.prev]
    last = at(a, t, n)
    if i != n:
        _put(a, t, i, last)
        fix(a, t, last)


@internal
def drop_in(a: Ints, t: Tier, slot: int) -> None:
    """Take a block into the bag, where order is of no meaning."""
    _put(a, t, a[t.reg + COUNT], slot)
    a[t.reg + COUNT] += 1


@internal
def draw_out(a: Ints, t: Tier, slot: int) -> None:
    """Take a block out of the bag."""
    n = a[t.reg + COUNT] - 1
    a[t.reg + COUNT] = n
    _put(a, t, a[slot + t.prev], at(a, t, n))
