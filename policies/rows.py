"""Tables of a fixed number of entries, as hardware has them, for compiled policies: rows in the policy's one array.

A table is a place in the state ``p`` (int64). It has at most so many entries; a new one takes the place of the one used
longest ago. Fully associative. A row has its key, then the policy's own fields from FIELDS on; a new row's are 0. The
place of a row is good until it is removed or replaced.
"""

import numpy as np

from simulator.arrays import NONE, Ints, home
from simulator.compiled import internal

# A table's registers: entries, the width of a row, entries in use, the one used last and the one used longest ago, rows
# that were removed, the size of the hash table less one.
_ENTRIES, _WIDTH, _USED, _NEWEST, _OLDEST, _FREE, _MASK = range(7)
_REGISTERS = 8
KEY, _NEWER, _OLDER = range(3)
FIELDS = 3


def words(entries: int, n_fields: int) -> int:
    """How much of the state a table takes."""
    return _REGISTERS + entries * (FIELDS + n_fields) + _hash_size(entries)


def _hash_size(entries: int) -> int:
    size = 4
    while size < 2 * entries:
        size *= 2
    return size


def setup(p: Ints, t: int, entries: int, n_fields: int) -> int:
    """Make a table at ``t``; where the next thing in the state may be."""
    p[t + _ENTRIES], p[t + _WIDTH], p[t + _MASK] = entries, FIELDS + n_fields, _hash_size(entries) - 1
    p[t + _NEWEST] = p[t + _OLDEST] = p[t + _FREE] = NONE
    return t + words(entries, n_fields)


def state(n_words: int) -> Ints:
    """The state of a policy, zeroes."""
    return np.zeros(n_words, np.int64)


@internal
def _hash(p: Ints, t: int) -> int:
    return int(t + _REGISTERS + p[t + _ENTRIES] * p[t + _WIDTH])


@internal
def peek(p: Ints, t: int, key: int) -> int:
    """The row of a key, or NONE; the use does not count."""
    table, mask = _hash(p, t), p[t + _MASK]
    at = home(key, mask)
    while p[table + at] != 0:
        # Rows are kept as their distance from the table, which is never 0.
        row = t + p[table + at]
        if p[row + KEY] == key:
            return int(row)
        at = (at + 1) & mask
    return NONE


@internal
def _unlink(p: Ints, t: int, row: int) -> None:
    newer, older = p[row + _NEWER], p[row + _OLDER]
    if newer == NONE:
        p[t + _NEWEST] = older
    else:
        p[newer + _OLDER] = older
    if older == NONE:
        p[t + _OLDEST] = newer
    else:
        p[older + _NEWER] = newer


@internal
def _push(p: Ints, t: int, row: int) -> None:
    newest = p[t + _NEWEST]
    p[row + _NEWER], p[row + _OLDER] = NONE, newest
    if newest == NONE:
        p[t + _OLDEST] = row
    else:
        p[newest + _NEWER] = row
    p[t + _NEWEST] = row


@internal
def touch(p: Ints, t: int, row: int) -> None:
    """The row is from now on the one used last."""
    if p[t + _NEWEST] != row:
        _unlink(p, t, row)
        _push(p, t, row)


@internal
def use(p: Ints, t: int, key: int) -> int:
    """The row of a key, from now on the one used last, or NONE."""
    row = peek(p, t, key)
    if row != NONE:
        touch(p, t, row)
    return row


@internal
def _forget(p: Ints, t: int, row: int) -> None:
    """Take a row out of the hash table (backward-shift deletion)."""
    table, mask = _hash(p, t), p[t + _MASK]
    hole = home(p[row + KEY], mask)
    while p[table + hole] != row - t:
        hole = (hole + 1) & mask
    at = hole
    while True:
        at = (at + 1) & mask
        if p[table + at] == 0:
            break
        start = home(p[t + p[table + at] + KEY], mask)
        if ((at - start) & mask) >= ((at - hole) & mask):
            p[table + hole] = p[table + at]
            hole = at
    p[table + hole] = 0


@internal
def oldest(p: Ints, t: int) -> int:
    """The row used longest ago, or NONE."""
    return int(p[t + _OLDEST])


@internal
def newest(p: Ints, t: int) -> int:
    """The row used last, or NONE."""
    return int(p[t + _NEWEST])


@internal
def newer(p: Ints, row: int) -> int:
    """The row used next after this one, or NONE: to walk through all of them from the oldest on."""
    return int(p[row + _NEWER])


@internal
def is_full(p: Ints, t: int) -> bool:
    """Whether a new key would take the place of the oldest."""
    return bool(p[t + _FREE] == NONE and p[t + _USED] == p[t + _ENTRIES])


@internal
def put(p: Ints, t: int, key: int) -> int:
    """The row of a key, from now on the one used last, made if there is none: what ``oldest`` was may have gone."""
    row = use(p, t, key)
    if row != NONE:
        return row
    if p[t + _FREE] != NONE:
        row = p[t + _FREE]
        p[t + _FREE] = p[row + _OLDER]
    elif p[t + _USED] < p[t + _ENTRIES]:
        row = t + _REGISTERS + p[t + _USED] * p[t + _WIDTH]
        p[t + _USED] += 1
    else:
        row = p[t + _OLDEST]
        _forget(p, t, row)
        _unlink(p, t, row)
    for field in range(FIELDS, p[t + _WIDTH]):
        p[row + field] = 0
    p[row + KEY] = key
    table, mask = _hash(p, t), p[t + _MASK]
    at = home(key, mask)
    while p[table + at] != 0:
        at = (at + 1) & mask
    p[table + at] = row - t
    _push(p, t, row)
    return int(row)


@internal
def remove(p: Ints, t: int, row: int) -> None:
    """Take a row out."""
    _forget(p, t, row)
    _unlink(p, t, row)
    p[row + _OLDER] = p[t + _FREE]
    p[t + _FREE] = row
