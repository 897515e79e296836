"""Doubly linked lists of slots inside a tier's arrays; head and tail are two registers."""

from simulator.compiled import compiled
from simulator.residency.layout import NONE, Tier


@compiled
def clear(t: Tier, head: int) -> None:
    """Make the list whose registers are ``head`` and ``head + 1`` empty."""
    t.reg[head] = NONE
    t.reg[head + 1] = NONE


@compiled
def push_front(t: Tier, head: int, slot: int) -> None:
    """Put ``slot``, which is in no list, at the head."""
    first = t.reg[head]
    t.prev[slot] = NONE
    t.next[slot] = first
    t.reg[head] = slot
    if first == NONE:
        t.reg[head + 1] = slot
    else:
        t.prev[first] = slot


@compiled
def unlink(t: Tier, head: int, slot: int) -> None:
    """Take ``slot`` out of the list."""
    before, after = t.prev[slot], t.next[slot]
    if before == NONE:
        t.reg[head] = after
    else:
        t.next[before] = after
    if after == NONE:
        t.reg[head + 1] = before
    else:
        t.prev[after] = before
