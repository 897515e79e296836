"""LRU lists, one above the other, in which a block rises with each use: SLRU, and the main cache of W-TinyLFU.

A block enters the lowest list, and each hit takes it one list up; a list that is too large lets its least recently used
go down one. While the tier fills, a block enters the lowest list that has room. ``aux``: which list.
"""

from collections.abc import Sequence
from typing import Annotated

from simulator.arrays import NONE, At, Ints
from simulator.compiled import internal
from simulator.records.arena import Arena, Block, block_at, entry_at
from simulator.records.checked import declare
from simulator.records.lists import clear_all
from simulator.records.record import Record, view
from simulator.residency import queues
from simulator.residency.queues import Queue

MOST = 8


class Segment(Record):
    """One list, and the bytes that it may have."""

    queue: Queue
    limit: int


class Segments(Record):
    """The lists, the lowest first."""

    n: int
    lists: Annotated[Ints, MOST * Segment.words]


segments_at = view(Segments)
_segment_at = view(Segment)
_LISTS, _SEGMENT = Segments.word("lists"), Segment.words


@internal
def segment(arena: Arena, segments: At[Segments], which: int) -> Segment:
    """One of the lists."""
    return _segment_at(arena, segments + _LISTS + which * _SEGMENT)


def make(ints: Ints, segments: At[Segments], limits: Sequence[int]) -> None:
    """From Python: empty lists for so many bytes each."""
    declare(ints, Segments, segments, 1)
    Segments(ints, segments).n = len(limits)
    declare(ints, Segment, segments + _LISTS, len(limits))
    for which, limit in enumerate(limits):
        made = Segment(ints, segments + _LISTS + which * _SEGMENT)
        clear_all(made.queue.blocks)
        made.limit = limit


@internal
def enter(arena: Arena, level: int, segments: At[Segments], which: int, slot: At[Block]) -> None:
    """To the head of a list."""
    entry_at(arena, level, slot).aux = which
    queues.enter(arena, level, segment(arena, segments, which).queue, slot, block_at(arena, slot).size)


@internal
def leave(arena: Arena, level: int, segments: At[Segments], slot: At[Block]) -> None:
    """Out of its list."""
    which = entry_at(arena, level, slot).aux
    queues.leave(arena, level, segment(arena, segments, which).queue, slot, block_at(arena, slot).size)


@internal
def n_bytes(arena: Arena, segments: At[Segments]) -> int:
    """Of all lists."""
    total = 0
    for which in range(segments_at(arena, segments).n):
        total += segment(arena, segments, which).queue.n_bytes
    return total


@internal
def rise(arena: Arena, level: int, segments: At[Segments], slot: At[Block]) -> bool:
    """One list up; what is too much there goes down, list by list. Whether any has come down to the lowest."""
    has_come_down = False
    which = min(entry_at(arena, level, slot).aux + 1, segments_at(arena, segments).n - 1)
    leave(arena, level, segments, slot)
    enter(arena, level, segments, which, slot)
    while which > 0:
        above = segment(arena, segments, which)
        while above.queue.n_bytes > above.limit:
            last = above.queue.blocks.last
            leave(arena, level, segments, last)
            enter(arena, level, segments, which - 1, last)
            has_come_down = which == 1
        which -= 1
    return has_come_down


@internal
def overflow(arena: Arena, segments: At[Segments]) -> At[Block]:
    """The last of the lowest list if that has too much, or NONE; who was used just now is its first, if it is there."""
    lowest = segment(arena, segments, 0)
    blocks = lowest.queue.blocks
    return blocks.last if lowest.queue.n_bytes > lowest.limit and blocks.first != blocks.last else NONE


@internal
def insert(arena: Arena, level: int, segments: At[Segments], slot: At[Block]) -> None:
    """The lowest list that has room, or the lowest."""
    size = block_at(arena, slot).size
    for which in range(segments_at(arena, segments).n):
        one = segment(arena, segments, which)
        if one.queue.n_bytes + size <= one.limit:
            enter(arena, level, segments, which, slot)
            return
    enter(arena, level, segments, 0, slot)


@internal
def lowest(arena: Arena, segments: At[Segments]) -> At[Block]:
    """The least recently used of the lowest list that has any, or NONE."""
    for which in range(segments_at(arena, segments).n):
        last = segment(arena, segments, which).queue.blocks.last
        if last != NONE:
            return last
    return NONE
