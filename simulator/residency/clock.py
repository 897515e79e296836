"""CLOCK (Corbató 1968), or second chance: first in, first out in all but what a hit and an eviction do.

With more than one bit a block counts its uses, up to as many as fit, and each is good for another round (what
libCacheSim calls ``n-bit-counter``). ``aux``: the count.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from simulator.arrays import At
from simulator.compiled import internal
from simulator.records import lists
from simulator.records.arena import Arena, Block, entry_at, links_of, state_of
from simulator.records.lists import List, clear_all
from simulator.records.record import Record
from simulator.residency.settings import EvictionHooks, EvictionSettings, Made


class State(Record):
    """The queue, who came last first, the highest count, and the one that a block comes in with."""

    blocks: List
    most: int
    at_first: int


_state_at = state_of(State)


@internal
def on_hit(arena: Arena, level: int, slot: At[Block]) -> None:
    """Give it another chance."""
    entry = entry_at(arena, level, slot)
    entry.aux = min(entry.aux + 1, _state_at(arena, level).most)


@internal
def on_insert(arena: Arena, level: int, slot: At[Block]) -> None:
    """Enter behind the hand."""
    state = _state_at(arena, level)
    entry_at(arena, level, slot).aux = state.at_first
    lists.prepend(arena, state.blocks, slot, links_of(level))


@internal
def victim(arena: Arena, level: int) -> At[Block]:
    """The first without another chance; those that are passed have had one."""
    blocks = _state_at(arena, level).blocks
    slot = blocks.last
    while entry_at(arena, level, slot).aux != 0:
        entry_at(arena, level, slot).aux -= 1
        lists.remove(arena, blocks, slot, links_of(level))
        lists.prepend(arena, blocks, slot, links_of(level))
        slot = blocks.last
    return slot


@internal
def on_remove(arena: Arena, level: int, slot: At[Block], evicted: bool) -> None:
    """Out of the queue."""
    lists.remove(arena, _state_at(arena, level).blocks, slot, links_of(level))


class Clock(EvictionSettings):
    """CLOCK, or second chance: first in, first out, but a block that was used goes round once more."""

    kind: Literal["clock"]
    n_bit_counter: Annotated[int, Field(ge=1, le=8)] = 1
    """Bits of each block's count of uses: a block has as many further rounds as its count says."""
    init_freq: Annotated[int, Field(ge=0, le=255)] = 0
    """The count that a block comes in with."""

    state: ClassVar[Any] = State
    hooks: ClassVar[EvictionHooks | None] = EvictionHooks(on_insert, victim, on_remove, on_hit)

    @property
    def most(self) -> int:
        """The highest count that fits."""
        return (1 << self.n_bit_counter) - 1

    @model_validator(mode="after")
    def _fits(self) -> "Clock":
        if self.init_freq > self.most:
            raise ValueError(f"init_freq: expected at most {self.most}, what n_bit_counter has room for; "
                             f"got {self.init_freq}")  # fmt: skip
        return self

    def prepare(self, state: State, made: Made) -> None:
        """Start empty."""
        clear_all(state.blocks)
        state.most, state.at_first = self.most, self.init_freq
