"""A set of block ids in the machine that costs 16 to 32 bytes a member: what exists, what prefetching pushed out.

An open-addressing table of the keys themselves, at most half full, with linear probing and backward-shift deletion.
"""

from simulator.arrays import Ints, home
from simulator.compiled import compiled, internal, soon

# Registers: where the table is, its size less one, members, and whether the key 0, which is an empty entry, is one.
S_TABLE, S_MASK, S_KEYS, S_HAS_0 = range(4)
_EMPTY = 0


@internal
def find_soon(m: Ints, keys: int, key: int) -> None:
    """A key will be looked for: fetch the place in the table where that begins."""
    soon(m, m[keys + S_TABLE] + home(key, m[keys + S_MASK]))


@internal
def _place(m: Ints, keys: int, key: int) -> int:
    """Where in the table a key is, or else would come."""
    table, mask = m[keys + S_TABLE], m[keys + S_MASK]
    at = home(key, mask)
    while m[table + at] != key and m[table + at] != _EMPTY:
        at = (at + 1) & mask
    return at


@internal
def has(m: Ints, keys: int, key: int) -> bool:
    """Whether a key is a member."""
    if key == _EMPTY:
        return bool(m[keys + S_HAS_0])
    return bool(m[m[keys + S_TABLE] + _place(m, keys, key)] == key)


@internal
def add(m: Ints, keys: int, key: int) -> None:
    """Put a key in; nothing happens if it is there. There is room for it."""
    if key == _EMPTY:
        m[keys + S_KEYS] += 1 - m[keys + S_HAS_0]
        m[keys + S_HAS_0] = 1
        return
    at = m[keys + S_TABLE] + _place(m, keys, key)
    m[keys + S_KEYS] += m[at] == _EMPTY
    m[at] = key


@internal
def discard(m: Ints, keys: int, key: int) -> bool:
    """Take a key out; whether it was there."""
    if key == _EMPTY:
        was_there = m[keys + S_HAS_0]
        m[keys + S_KEYS] -= was_there
        m[keys + S_HAS_0] = 0
        return bool(was_there)
    table, mask = m[keys + S_TABLE], m[keys + S_MASK]
    hole = _place(m, keys, key)
    if m[table + hole] == _EMPTY:
        return False
    at = hole
    while True:
        at = (at + 1) & mask
        other = m[table + at]
        if other == _EMPTY:
            break
        # It may move into the hole unless its probe starts after it (cyclically).
        if ((at - home(other, mask)) & mask) >= ((at - hole) & mask):
            m[table + hole] = other
            hole = at
    m[table + hole] = _EMPTY
    m[keys + S_KEYS] -= 1
    return True


@compiled
def room(m: Ints, keys: int) -> int:
    """How many more keys can be put in before the table must grow."""
    return int((m[keys + S_MASK] + 1) // 2 - m[keys + S_KEYS])


@compiled
def move_to(m: Ints, keys: int, table: int, mask: int) -> None:
    """Go on in another, larger and empty table."""
    old, old_mask = m[keys + S_TABLE], m[keys + S_MASK]
    m[keys + S_TABLE], m[keys + S_MASK], m[keys + S_KEYS] = table, mask, m[keys + S_HAS_0]
    for at in range(old, old + old_mask + 1):
        if m[at] != _EMPTY:
            add(m, keys, m[at])
