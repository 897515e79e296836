"""Who may come in: a block that is demanded and not admitted is served, but not kept.

What a prefetch policy asked for is always let in: that policy, its throttle and the budget are its admission.
"""

from simulator.arrays import NONE, At
from simulator.compiled import inlined, internal
from simulator.records.arena import Arena, Block, entry_at, tier_at
from simulator.residency.hooks import call_admits, call_on_slot


@inlined
def count(arena: Arena, level: int, slot: At[Block]) -> None:
    """A block was asked for."""
    hook = tier_at(arena, level).admission.count
    if hook != 0:
        call_on_slot(hook, arena, level, slot)


@internal
def admits(arena: Arena, level: int, slot: At[Block], victim: At[Block]) -> bool:
    """Whether a block may come in, for which ``victim`` would have to go first (NONE: there is room)."""
    hook = tier_at(arena, level).admission.admits
    if hook == 0 or entry_at(arena, level, slot).prefetch != NONE:
        return True
    return call_admits(hook, arena, level, slot, victim) != 0
