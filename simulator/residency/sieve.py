"""SIEVE: unlike CLOCK's, spared blocks stay where they are, so that the hand sifts new blocks from old.

``aux``: whether it was used since the hand came by.
"""

from typing import Any, ClassVar, Literal

from simulator.arrays import NONE, At
from simulator.compiled import internal
from simulator.records import lists
from simulator.records.arena import Arena, Block, entry_at, links_of, state_of
from simulator.records.lists import List, clear_all
from simulator.records.record import Record
from simulator.residency.settings import EvictionHooks, EvictionSettings, Made


class State(Record):
    """The queue, who came last first, and the slot at which the hand is, or NONE."""

    blocks: List
    hand: At[Block]


_state_at = state_of(State)


@internal
def on_hit(arena: Arena, level: int, slot: At[Block]) -> None:
    """Mark as visited."""
    entry_at(arena, level, slot).aux = 1


@internal
def on_insert(arena: Arena, level: int, slot: At[Block]) -> None:
    """Enter at the head, not visited."""
    entry_at(arena, level, slot).aux = 0
    lists.prepend(arena, _state_at(arena, level).blocks, slot, links_of(level))


@internal
def victim(arena: Arena, level: int) -> At[Block]:
    """Move the hand from the tail towards the head, clearing marks, to the first that has none."""
    state = _state_at(arena, level)
    slot = state.hand
    if slot == NONE:
        slot = state.blocks.last
    entry = entry_at(arena, level, slot)
    while entry.aux != 0:
        entry.aux = 0
        slot = entry.links.prev
        if slot == NONE:
            slot = state.blocks.last
        entry = entry_at(arena, level, slot)
    state.hand = slot
    return slot


@internal
def on_remove(arena: Arena, level: int, slot: At[Block], evicted: bool) -> None:
    """The hand moves off what leaves."""
    state = _state_at(arena, level)
    if state.hand == slot:
        state.hand = entry_at(arena, level, slot).links.prev
    lists.remove(arena, state.blocks, slot, links_of(level))


class Sieve(EvictionSettings):
    """SIEVE (Zhang et al., NSDI 2024): a queue, and a hand that spares what was used since it passed."""

    kind: Literal["sieve"]

    state: ClassVar[Any] = State
    hooks: ClassVar[EvictionHooks | None] = EvictionHooks(on_insert, victim, on_remove, on_hit)

    def prepare(self, state: State, made: Made) -> None:
        """Start empty."""
        clear_all(state.blocks)
        state.hand = NONE
