"""A set of block ids in the machine that costs 16 to 32 bytes a member: what exists, what prefetching pushed out."""

from simulator.arrays import Ints, home
from simulator.compiled import compiled, internal, soon

# Registers: where the table is, its size less one, entries in use (removed ones too), members, and whether the keys 0
# and 1 are among them, whose numbers mean an empty entry and a removed one.
S_TABLE, S_MASK, S_USED, S_KEYS, S_HAS = range(5)
_EMPTY, _REMOVED = 0, 1


@internal
def find_soon(m: Ints, keys: int, key: int) -> None:
    """A key will be looked for: fetch the place in the table where that begins."""
    soon(m, m[keys + S_TABLE] + home(key, m[keys + S_MASK]))


@internal
def _find(m: Ints, keys: int, key: int) -> int:
    table, mask = m[keys + S_TABLE], m[keys + S_MASK]
    at = home(key, mask)
    while m[table + at] != _EMPTY:
        if m[table + at] == key:
            return int(table + at)
        at = (at + 1) & mask
    return -1


@internal
def _put(m: Ints, keys: int, key: int) -> None:
    table, mask = m[keys + S_TABLE], m[keys + S_MASK]
    at = home(key, mask)
    while m[table + at] != _EMPTY:
        at = (at + 1) & mask
    m[table + at] = key
    m[keys + S_USED] += 1


@internal
def has(m: Ints, keys: int, key: int) -> bool:
    """Whether a key is a member."""
    if 0 <= key <= _REMOVED:
        return bool((m[keys + S_HAS] >> key) & 1 != 0)
    return _find(m, keys, key) >= 0


@internal
def add(m: Ints, keys: int, key: int) -> None:
    """Put a key in; nothing happens if it is there. There is room for it."""
    if has(m, keys, key):
        return
    m[keys + S_KEYS] += 1
    if 0 <= key <= _REMOVED:
        m[keys + S_HAS] |= 1 << key
    else:
        _put(m, keys, key)


@internal
def discard(m: Ints, keys: int, key: int) -> bool:
    """Take a key out; whether it was there."""
    if not has(m, keys, key):
        return False
    m[keys + S_KEYS] -= 1
    if 0 <= key <= _REMOVED:
        m[keys + S_HAS] &= ~(1 << key)
    else:
        m[_find(m, keys, key)] = _REMOVED
    return True


@compiled
def room(m: Ints, keys: int) -> int:
    """How many more keys can be put in before the table must grow."""
    return int((m[keys + S_MASK] + 1) // 2 - m[keys + S_USED])


@compiled
def move_to(m: Ints, keys: int, table: int, mask: int) -> None:
    """Go on in another, empty table; what was removed is swept out."""
    old, old_mask = m[keys + S_TABLE], m[keys + S_MASK]
    m[keys + S_TABLE], m[keys + S_MASK], m[keys + S_USED] = table, mask, 0
    for at in range(old, old + old_mask + 1):
        if m[at] != _EMPTY and m[at] != _REMOVED:
            _put(m, keys, m[at])
