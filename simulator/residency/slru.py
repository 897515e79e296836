"""Segmented LRU (Karedla, Love & Wherry, Computer 1994): the lists are ``segments``.

``seg_size`` has a weight for each list, the lowest first: each is for so large a part of the capacity.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from simulator.arrays import At
from simulator.compiled import internal
from simulator.records.arena import Arena, Block, place_of_policy
from simulator.residency import segments
from simulator.residency.segments import MOST, Segments
from simulator.residency.settings import EvictionHooks, EvictionSettings, Made


@internal
def on_hit(arena: Arena, level: int, slot: At[Block]) -> None:
    """One list up."""
    segments.rise(arena, level, place_of_policy(level), slot)


@internal
def on_insert(arena: Arena, level: int, slot: At[Block]) -> None:
    """The lowest list that has room, or the lowest."""
    segments.insert(arena, level, place_of_policy(level), slot)


@internal
def victim(arena: Arena, level: int) -> At[Block]:
    """The least recently used of the lowest list that has any."""
    return segments.lowest(arena, place_of_policy(level))


@internal
def on_remove(arena: Arena, level: int, slot: At[Block], evicted: bool) -> None:
    """Out of its list."""
    segments.leave(arena, level, place_of_policy(level), slot)


def _is_list(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise ValueError(f"expected a list of weights such as [1, 1, 1, 1]; got {value!r}")
    return value


class Slru(EvictionSettings):
    """Segmented LRU (Karedla et al. 1994): LRU lists, one above the other; a hit takes a block one list up."""

    kind: Literal["slru"]
    seg_size: Annotated[
        tuple[Annotated[int, Field(ge=1, le=1000)], ...],
        Field(min_length=1, max_length=MOST, strict=False),
        BeforeValidator(_is_list),
    ] = (1, 1, 1, 1)

    state: ClassVar[Any] = Segments
    hooks: ClassVar[EvictionHooks | None] = EvictionHooks(on_insert, victim, on_remove, on_hit)

    def limits(self, capacity: int) -> list[int]:
        """The bytes of each list."""
        return [capacity * weight // sum(self.seg_size) for weight in self.seg_size]

    def prepare(self, state: Segments, made: Made) -> None:
        """Start empty."""
        segments.make(made.ints, At(state.place), self.limits(made.tier.capacity))
