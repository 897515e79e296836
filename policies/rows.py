"""Tables of a fixed number of entries, as hardware has them, for compiled policies: rows in the policy's one array.

A table is a place in the policy's state (int64). It has at most so many entries; a new one takes the place of the one
used longest ago. Fully associative. A row has its key, then the policy's own fields from FIELDS on; a new row's are 0.
The place of a row is good until it is removed or replaced.
"""

from typing import Any

import numpy as np

from simulator.arrays import NONE, At, Ints, spot
from simulator.compiled import internal
from simulator.records import lists
from simulator.records.lists import List, Node
from simulator.records.record import Record, from_place, view


class Row(Record):
    """What a row begins with; of rows that were removed ``order.next`` is the next one."""

    key: int
    order: Node


class Table(Record, line=8):
    """A table: entries, the words of a row, entries in use; the rows, the one used last first; those removed."""

    n_entries: int
    width: int
    n_used: int
    order: List
    free: At[Row]
    mask: int


_table_at, _row_at = view(Table), view(Row)
FIELDS, _LINKS, _TABLE = Row.words, Row.word("order"), Table.words
KEY = Row.word("key")
_ROW_BITS, _TAG_BITS = 40, 23
_ROWS, _TAGS = (1 << _ROW_BITS) - 1, (1 << _TAG_BITS) - 1


def words(entries: int, n_fields: int) -> int:
    """How much of the state a table takes."""
    return Table.words + entries * (FIELDS + n_fields) + _hash_size(entries)


def _hash_size(entries: int) -> int:
    size = 4
    while size < 2 * entries:
        size *= 2
    return size


def setup(state: Ints, t: int, entries: int, n_fields: int) -> int:
    """Make a table at ``t``; where the next thing in the state may be."""
    table = Table(state, t)
    table.n_entries, table.width, table.mask = entries, FIELDS + n_fields, _hash_size(entries) - 1
    table.order.first = table.order.last = table.free = NONE
    return t + words(entries, n_fields)


def state(n_words: int) -> Ints:
    """The state of a policy, zeroes."""
    return np.zeros(n_words, np.int64)


@internal
def _table(state: Ints, t: int) -> Table:
    place: Any = t
    return _table_at(state, place)


@internal
def _row(state: Ints, row: int) -> Row:
    place: Any = row
    return _row_at(state, place)


@internal
def _hash(state: Ints, t: int, table: Table) -> Ints:
    """The hash table. A cell is a row, as its distance from the table, which is never 0, and the low bits of its hash.

    So rows of other keys, which lie anywhere in memory, need not be read to search and to delete.
    """
    return from_place(state, t + _TABLE + table.n_entries * table.width)


@internal
def _start(state: Ints, t: int, cell: int, mask: int) -> int:
    """Where the probe of a cell's key starts."""
    if mask <= _TAGS:
        return (cell >> _ROW_BITS) & mask
    return spot(_row(state, t + (cell & _ROWS)).key, mask)


@internal
def peek(state: Ints, t: int, key: int) -> int:
    """The row of a key, or NONE; the use does not count."""
    table = _table(state, t)
    entries, mask, hash_ = _hash(state, t, table), table.mask, spot(key, -1)
    at, tag = hash_ & mask, hash_ & _TAGS
    cell = entries[at]
    while cell != 0:
        row = t + (cell & _ROWS)
        if cell >> _ROW_BITS == tag and _row(state, row).key == key:
            return row
        at = (at + 1) & mask
        cell = entries[at]
    return NONE


@internal
def touch(state: Ints, t: int, row: int) -> None:
    """The row is from now on the one used last."""
    order, place = _table(state, t).order, _place(row)
    if order.first != row:
        lists.remove(state, order, place, _LINKS)
        lists.prepend(state, order, place, _LINKS)


@internal
def _place(row: int) -> At[Row]:
    place: Any = row
    return place


@internal
def use(state: Ints, t: int, key: int) -> int:
    """The row of a key, from now on the one used last, or NONE."""
    row = peek(state, t, key)
    if row != NONE:
        touch(state, t, row)
    return row


@internal
def _forget(state: Ints, t: int, row: int) -> None:
    """Take a row out of the hash table (backward-shift deletion)."""
    table = _table(state, t)
    entries, mask = _hash(state, t, table), table.mask
    hole = spot(_row(state, row).key, mask)
    while entries[hole] & _ROWS != row - t:
        hole = (hole + 1) & mask
    at = hole
    while True:
        at = (at + 1) & mask
        cell = entries[at]
        if cell == 0:
            break
        if ((at - _start(state, t, cell, mask)) & mask) >= ((at - hole) & mask):
            entries[hole] = cell
            hole = at
    entries[hole] = 0


@internal
def oldest(state: Ints, t: int) -> int:
    """The row used longest ago, or NONE."""
    return _table(state, t).order.last


@internal
def newest(state: Ints, t: int) -> int:
    """The row used last, or NONE."""
    return _table(state, t).order.first


@internal
def newer(state: Ints, row: int) -> int:
    """The row used next after this one, or NONE: to walk through all of them from the oldest on."""
    return _row(state, row).order.prev


@internal
def is_full(state: Ints, t: int) -> bool:
    """Whether a new key would take the place of the oldest."""
    table = _table(state, t)
    return table.free == NONE and table.n_used == table.n_entries


@internal
def put(state: Ints, t: int, key: int) -> int:
    """The row of a key, from now on the one used last, made if there is none: what ``oldest`` was may have gone."""
    found = use(state, t, key)
    if found != NONE:
        return found
    table = _table(state, t)
    place = table.free
    if place != NONE:
        table.free = _row_at(state, place).order.next
    elif table.n_used < table.n_entries:
        place = _place(t + _TABLE + table.n_used * table.width)
        table.n_used += 1
    else:
        place = table.order.last
        _forget(state, t, place)
        lists.remove(state, table.order, place, _LINKS)
    fields = from_place(state, place)
    for field in range(FIELDS, table.width):
        fields[field] = 0
    _row_at(state, place).key = key
    entries, mask, hash_ = _hash(state, t, table), table.mask, spot(key, -1)
    at = hash_ & mask
    while entries[at] != 0:
        at = (at + 1) & mask
    entries[at] = (place - t) | ((hash_ & _TAGS) << _ROW_BITS)
    lists.prepend(state, table.order, place, _LINKS)
    return place


@internal
def remove(state: Ints, t: int, row: int) -> None:
    """Take a row out."""
    table, place = _table(state, t), _place(row)
    _forget(state, t, row)
    lists.remove(state, table.order, place, _LINKS)
    _row_at(state, place).order.next = table.free
    table.free = place
