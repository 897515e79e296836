"""Pinned: the hottest blocks stay, as systems that keep the most used experts or rows on the GPU have it.

Which ones is known before the run: the ``keep`` keys that were accessed most before what is judged (of equal counts
the smaller key), or a list. A pinned block comes in when it is first asked for, as any other, and goes only when there
is nobody else left to go. All the others, and pinned ones among themselves, are least recently used.

The tier remembers pinned keys from the start, as ghosts while it does not hold them. ``aux``: whether it is pinned.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from simulator.arrays import NONE, At
from simulator.compiled import internal
from simulator.quantities import Count
from simulator.records import lists
from simulator.records.arena import Arena, Block, entry_at, links_of, state_of
from simulator.records.lists import List, clear_all
from simulator.records.record import Record
from simulator.residency import ghosts
from simulator.residency.settings import EvictionHooks, EvictionSettings, Made

PINNED = 1


class State(Record):
    """Both orders of use, who was used last first."""

    others: List
    pinned: List


_state_at = state_of(State)


@internal
def _list_of(arena: Arena, level: int, slot: At[Block]) -> List:
    state = _state_at(arena, level)
    return state.pinned if entry_at(arena, level, slot).aux == PINNED else state.others


@internal
def on_hit(arena: Arena, level: int, slot: At[Block]) -> None:
    """Move to the head of its list."""
    blocks = _list_of(arena, level, slot)
    if blocks.first != slot:
        lists.remove(arena, blocks, slot, links_of(level))
        lists.prepend(arena, blocks, slot, links_of(level))


@internal
def recall(arena: Arena, level: int, slot: At[Block]) -> None:
    """A ghost is a pinned block; whatever else comes in is not."""
    if ghosts.is_one(arena, level, slot):
        ghosts.wake(arena, level, slot)
    else:
        entry_at(arena, level, slot).aux = 0


@internal
def on_insert(arena: Arena, level: int, slot: At[Block]) -> None:
    """To the head of its list."""
    lists.prepend(arena, _list_of(arena, level, slot), slot, links_of(level))


@internal
def victim(arena: Arena, level: int) -> At[Block]:
    """Who was used longest ago, of those that are not pinned if there are any."""
    state = _state_at(arena, level)
    return state.others.last if state.others.last != NONE else state.pinned.last


@internal
def on_remove(arena: Arena, level: int, slot: At[Block], evicted: bool) -> None:
    """A pinned block will be one again."""
    lists.remove(arena, _list_of(arena, level, slot), slot, links_of(level))
    if entry_at(arena, level, slot).aux == PINNED:
        ghosts.keep(arena, level, slot)


class Pinned(EvictionSettings):
    """Pinned: the blocks that were used most before what is judged stay; of all others the least recently used goes."""

    kind: Literal["pinned"]
    keep: Count = 64
    """How many stay: the keys with most accesses before those judged (train_ratio, warm_up)."""
    keys: Annotated[tuple[Annotated[int, Field(ge=0, lt=2**64)], ...], Field(strict=False, min_length=1)] | None = None
    """These stay instead, whatever was counted."""

    state: ClassVar[Any] = State
    hooks: ClassVar[EvictionHooks | None] = EvictionHooks(on_insert, victim, on_remove, on_hit, recall)
    remembers: ClassVar[bool] = True

    @property
    def n_counted(self) -> int:
        """As many as are kept, if no list says which."""
        return 0 if self.keys else self.keep

    @property
    def pinned(self) -> tuple[int, ...]:
        """The list."""
        return self.keys or ()

    def prepare(self, state: State, made: Made) -> None:
        """Start empty."""
        clear_all(state.others, state.pinned)
