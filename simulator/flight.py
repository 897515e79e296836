"""The one transfer of each block that is in flight (rule R9): an open-addressing table in the machine."""

from simulator.arrays import NONE, Ints, home
from simulator.compiled import compiled, internal
from simulator.machine import FLIGHT, FLIGHT_MASK, T_KEY


@internal
def find(m: Ints, key: int) -> int:
    """The transfer of a block, or NONE."""
    table, mask = m[FLIGHT], m[FLIGHT_MASK]
    at = home(key, mask)
    while m[table + at] != 0:
        if m[m[table + at] + T_KEY] == key:
            return int(m[table + at])
        at = (at + 1) & mask
    return NONE


@internal
def enter(m: Ints, transfer: int) -> None:
    """A block that was not in flight is now."""
    table, mask = m[FLIGHT], m[FLIGHT_MASK]
    at = home(m[transfer + T_KEY], mask)
    while m[table + at] != 0:
        at = (at + 1) & mask
    m[table + at] = transfer


@internal
def leave(m: Ints, transfer: int) -> None:
    """A block is in flight no more."""
    table, mask = m[FLIGHT], m[FLIGHT_MASK]
    hole = home(m[transfer + T_KEY], mask)
    while m[table + hole] != transfer:
        hole = (hole + 1) & mask
    at = hole
    while True:
        at = (at + 1) & mask
        if m[table + at] == 0:
            break
        # An entry may move into the hole unless its probe starts after it (cyclically).
        start = home(m[m[table + at] + T_KEY], mask)
        if ((at - start) & mask) >= ((at - hole) & mask):
            m[table + hole] = m[table + at]
            hole = at
    m[table + hole] = 0


@compiled
def move_all(m: Ints, old: int, old_mask: int) -> None:
    """Enter what an older table has."""
    for at in range(old, old + old_mask + 1):
        if m[at] != 0:
            enter(m, m[at])
