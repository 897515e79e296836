"""A heap of a tier's blocks by (``aux``, first further field), least first; also a bag to draw from at random.

Element ``i`` lies in the entry of the arena's row number ``i``, in the place of the link ``next``, whatever block that
row is, if any: the heap needs no room of its own, and grows with the arena. A block's place in the heap is in the link
``prev`` of its own entry.
"""

from typing import Any

from simulator.arrays import At
from simulator.compiled import internal
from simulator.records.arena import Arena, Block, entry_at, fields_of, links_of
from simulator.records.lists import Node
from simulator.records.record import Record, view


class Heap(Record):
    """How many blocks are in it."""

    n: int


class Stamp(Record):
    """The first of the further fields: by it, the time of the last use, the heap breaks ties."""

    time: int


class Element(Record, memory="shared"):
    """An element of the heap."""

    slot: At[Block]


NEXT = Node.word("next")
stamp_at = fields_of(Stamp)
_element_at = view(Element)


@internal
def element(arena: Arena, level: int, i: int) -> Element:
    """Where the slot at place ``i`` is kept; place 0 has the least."""
    return _element_at(arena, arena.first_row + i * arena.width + links_of(level) + NEXT)


@internal
def _put(arena: Arena, level: int, i: Any, slot: At[Block]) -> None:
    element(arena, level, i).slot = slot
    entry_at(arena, level, slot).links.prev = i


@internal
def _before(arena: Arena, level: int, x: At[Block], y: At[Block]) -> bool:
    of_x, of_y = entry_at(arena, level, x).aux, entry_at(arena, level, y).aux
    if of_x != of_y:
        return of_x < of_y
    return stamp_at(arena, level, x).time < stamp_at(arena, level, y).time


@internal
def _up(arena: Arena, level: int, i: int, slot: At[Block]) -> int:
    while i > 0:
        parent = (i - 1) // 2
        other = element(arena, level, parent).slot
        if not _before(arena, level, slot, other):
            break
        _put(arena, level, i, other)
        i = parent
    return i


@internal
def _down(arena: Arena, level: int, heap: Heap, i: int, slot: At[Block]) -> int:
    n = heap.n
    while True:
        child = 2 * i + 1
        if child >= n:
            return i
        other = element(arena, level, child).slot
        if child + 1 < n:
            right = element(arena, level, child + 1).slot
            if _before(arena, level, right, other):
                child, other = child + 1, right
        if not _before(arena, level, other, slot):
            return i
        _put(arena, level, i, other)
        i = child


@internal
def fix(arena: Arena, level: int, heap: Heap, slot: At[Block]) -> None:
    """The order of a block that is in the heap has changed."""
    i = _up(arena, level, entry_at(arena, level, slot).links.prev, slot)
    _put(arena, level, _down(arena, level, heap, i, slot), slot)


@internal
def push(arena: Arena, level: int, heap: Heap, slot: At[Block]) -> None:
    """Take a block in."""
    i = heap.n
    heap.n = i + 1
    _put(arena, level, _up(arena, level, i, slot), slot)


@internal
def remove(arena: Arena, level: int, heap: Heap, slot: At[Block]) -> None:
    """Take a block out."""
    n = heap.n - 1
    heap.n = n
    i = entry_at(arena, level, slot).links.prev
    last = element(arena, level, n).slot
    if i != n:
        _put(arena, level, i, last)
        fix(arena, level, heap, last)


@internal
def drop_in(arena: Arena, level: int, heap: Heap, slot: At[Block]) -> None:
    """Take a block into the bag, where order is of no meaning."""
    _put(arena, level, heap.n, slot)
    heap.n += 1


@internal
def draw_out(arena: Arena, level: int, heap: Heap, slot: At[Block]) -> None:
    """Take a block out of the bag."""
    n = heap.n - 1
    heap.n = n
    _put(arena, level, entry_at(arena, level, slot).links.prev, element(arena, level, n).slot)
