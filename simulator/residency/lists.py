"""Doubly linked lists of slots in a tier's fields; ``head`` is the register of the first, the next one of the last."""

from simulator.arrays import NONE, Ints
from simulator.compiled import internal
from simulator.residency.layout import Tier


@internal
def clear(a: Ints, t: Tier, head: int) -> None:
    """Make the list empty."""
    a[t.reg + head] = NONE
    a[t.reg + head + 1] = NONE


@internal
def first(a: Ints, t: Tier, head: int) -> int:
    """The slot at the head, or NONE."""
    return a[t.reg + head]


@internal
def last(a: Ints, t: Tier, head: int) -> int:
    """The slot at the tail, or NONE."""
    return a[t.reg + head + 1]


@internal
def push_front(a: Ints, t: Tier, head: int, slot: int) -> None:
    """Put ``slot``, which is in no list, at the head."""
    second = a[t.reg + head]
    a[slot + t.prev] = NONE
    a[slot + t.next] = second
    a[t.reg + head] = slot
    if second == NONE:
        a[t.reg + head + 1] = slot
    else:
        a[second + t.prev] = slot


@internal
def unlink(a: Ints, t: Tier, head: int, slot: int) -> None:
    """Take ``slot`` out of the list."""
    before, after = a[slot + t.prev], a[slot + t.next]
    if before == NONE:
        a[t.reg + head] = after
    else:
        a[before + t.next] = after
    if after == NONE:
        a[t.reg + head + 1] = before
    else:
        a[after + t.prev] = before
