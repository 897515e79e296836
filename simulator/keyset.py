"""A set of block ids in the run that costs 16 to 32 bytes a member: what exists, what prefetching pushed out.

An open-addressing table of the keys themselves, at most half full, with linear probing and backward-shift deletion. The
key 0, which is an empty entry there, is kept track of apart.
"""

from typing import Any

from simulator.arrays import At, Ints, spot
from simulator.compiled import compiled, internal, soon
from simulator.records.record import from_place
from simulator.records.run import KeySet, Run, keyset_at, run_at

_EMPTY = 0


@internal
def find_soon(run: Run, keys: KeySet, key: int) -> None:
    """A key will be looked for: fetch the place in the table where that begins."""
    soon(run, keys.table + spot(key, keys.mask))


@internal
def _place(table: Ints, mask: int, key: int) -> int:
    """Where in the table a key is, or else would come."""
    at = spot(key, mask)
    while table[at] != key and table[at] != _EMPTY:
        at = (at + 1) & mask
    return at


@internal
def has(run: Run, keys: KeySet, key: int) -> bool:
    """Whether a key is a member."""
    if key == _EMPTY:
        return keys.has_0 != 0
    table = from_place(run, keys.table)
    return table[_place(table, keys.mask, key)] == key


@internal
def add(run: Run, keys: KeySet, key: int) -> None:
    """Put a key in; nothing happens if it is there. There is room for it."""
    if key == _EMPTY:
        keys.n += 1 - keys.has_0
        keys.has_0 = 1
        return
    table = from_place(run, keys.table)
    at = _place(table, keys.mask, key)
    keys.n += table[at] == _EMPTY
    table[at] = key


@internal
def discard(run: Run, keys: KeySet, key: int) -> bool:
    """Take a key out; whether it was there."""
    if key == _EMPTY:
        was_there = keys.has_0
        keys.n -= was_there
        keys.has_0 = 0
        return was_there != 0
    table, mask = from_place(run, keys.table), keys.mask
    hole = _place(table, mask, key)
    if table[hole] == _EMPTY:
        return False
    at = hole
    while True:
        at = (at + 1) & mask
        other = table[at]
        if other == _EMPTY:
            break
        # It may move into the hole unless its probe starts after it (cyclically).
        if ((at - spot(other, mask)) & mask) >= ((at - hole) & mask):
            table[hole] = other
            hole = at
    table[hole] = _EMPTY
    keys.n -= 1
    return True


@internal
def room(keys: KeySet) -> int:
    """How many more keys can be put in before the table must grow."""
    return (keys.mask + 1) // 2 - keys.n


@compiled
def move_to(machine: int, place: At[KeySet], table: At[Any], mask: int) -> None:
    """The set at that place goes on in another, larger and empty table; ``machine`` is the address of the run."""
    run = run_at(machine)
    keys = keyset_at(run, place)
    old, old_mask = from_place(run, keys.table), keys.mask
    keys.table, keys.mask, keys.n = table, mask, keys.has_0
    for at in range(old_mask + 1):
        if old[at] != _EMPTY:
            add(run, keys, old[at])
