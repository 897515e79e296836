"""The one transfer of each block that is in flight (rule R9): an open-addressing table of their places."""

from simulator.arrays import NONE, At, spot
from simulator.compiled import compiled, internal
from simulator.records.moving import Transfer, transfer_at
from simulator.records.record import from_place
from simulator.records.run import Run, run_at

_EMPTY = 0


@internal
def find(run: Run, key: int) -> At[Transfer]:
    """The transfer of a block, or NONE."""
    table, mask = from_place(run, run.flight), run.flight_mask
    at = spot(key, mask)
    while table[at] != _EMPTY:
        if transfer_at(run, table[at]).key == key:
            return table[at]
        at = (at + 1) & mask
    return NONE


@internal
def enter(run: Run, t: Transfer) -> None:
    """A block that was not in flight is now."""
    table, mask = from_place(run, run.flight), run.flight_mask
    at = spot(t.key, mask)
    while table[at] != _EMPTY:
        at = (at + 1) & mask
    table[at] = t.at


@internal
def leave(run: Run, t: Transfer) -> None:
    """A block is in flight no more."""
    table, mask = from_place(run, run.flight), run.flight_mask
    hole = spot(t.key, mask)
    while table[hole] != t.at:
        hole = (hole + 1) & mask
    at = hole
    while True:
        at = (at + 1) & mask
        if table[at] == _EMPTY:
            break
        # An entry may move into the hole unless its probe starts after it (cyclically).
        start = spot(transfer_at(run, table[at]).key, mask)
        if ((at - start) & mask) >= ((at - hole) & mask):
            table[hole] = table[at]
            hole = at
    table[hole] = _EMPTY


@compiled
def enter_all(machine: int, old: int, old_mask: int) -> None:
    """Enter what an older table, at that place, has; ``machine`` is the address of the run's memory."""
    run = run_at(machine)
    table = from_place(run, old)
    for at in range(old_mask + 1):
        if table[at] != _EMPTY:
            enter(run, transfer_at(run, table[at]))
