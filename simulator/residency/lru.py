"""Least recently used: a list in order of use (Mattson et al. 1970).

It is first in, first out in all but what a hit does.
"""

from typing import Any, ClassVar, Literal

from simulator.arrays import At
from simulator.compiled import internal
from simulator.records import lists
from simulator.records.arena import Arena, Block, links_of
from simulator.records.lists import clear_all
from simulator.residency.fifo import State, state_at
from simulator.residency.names import BY_USE
from simulator.residency.settings import EvictionSettings, Made


@internal
def on_hit(arena: Arena, level: int, slot: At[Block]) -> None:
    """Move to the head."""
    blocks = state_at(arena, level).blocks
    if blocks.first != slot:
        lists.remove(arena, blocks, slot, links_of(level))
        lists.prepend(arena, blocks, slot, links_of(level))


class Lru(EvictionSettings):
    """Least recently used: a list in order of use, the head used last (Mattson et al. 1970)."""

    kind: Literal["lru"]

    state: ClassVar[Any] = State
    order: ClassVar[int] = BY_USE

    def prepare(self, state: State, made: Made) -> None:
        """Start empty."""
        clear_all(state.blocks)
