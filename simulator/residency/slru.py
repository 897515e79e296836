"""Segmented LRU (Karedla, Love & Wherry, Computer 1994): the lists are ``segments``.

``seg_size`` has a weight for each list, the lowest first: each is for so large a part of the capacity. What is left of
it when the parts are rounded down is the lowest list's, by ``variant: paper``. ``libcachesim``: that list may have it,
too, but when a use brings a block down to it, whatever is more than its part is evicted at once.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from simulator.arrays import At
from simulator.compiled import internal
from simulator.records.arena import Arena, Block, place_of_policy, state_of, tier_at
from simulator.records.record import Record
from simulator.residency import segments
from simulator.residency.segments import MOST, Segments
from simulator.residency.settings import EvictionHooks, EvictionSettings, Made, Variant


class State(Record):
    """The lists, and whether a use may push blocks out."""

    pushes_out: int
    lists: Segments


_state_at = state_of(State)
_LISTS = State.word("lists")


@internal
def _lists(level: int) -> At[Segments]:
    return place_of_policy(level) + _LISTS


@internal
def on_hit(arena: Arena, level: int, slot: At[Block]) -> None:
    """One list up."""
    if segments.rise(arena, level, _lists(level), slot) and _state_at(arena, level).pushes_out:
        tier_at(arena, level).overflows = 1


@internal
def overflow(arena: Arena, level: int) -> At[Block]:
    """Out of the lowest list, if that has too much."""
    return segments.overflow(arena, _lists(level))


@internal
def on_insert(arena: Arena, level: int, slot: At[Block]) -> None:
    """The lowest list that has room, or the lowest."""
    segments.insert(arena, level, _lists(level), slot)


@internal
def victim(arena: Arena, level: int) -> At[Block]:
    """The least recently used of the lowest list that has any."""
    return segments.lowest(arena, _lists(level))


@internal
def on_remove(arena: Arena, level: int, slot: At[Block], evicted: bool) -> None:
    """Out of its list."""
    segments.leave(arena, level, _lists(level), slot)


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
    """A weight for each segment, the lowest first: what share of the capacity it has."""
    variant: Variant = "paper"
    """Who has what is left when shares are rounded down, and where a demoted block goes: `paper` or `libcachesim`."""

    state: ClassVar[Any] = State
    hooks: ClassVar[EvictionHooks | None] = EvictionHooks(on_insert, victim, on_remove, on_hit, overflow=overflow)

    @property
    def pushes_out(self) -> bool:
        """Whether it is libCacheSim's."""
        return self.variant == "libcachesim"

    def limits(self, capacity: int) -> list[int]:
        """The bytes of each list."""
        return [capacity * weight // sum(self.seg_size) for weight in self.seg_size]

    def prepare(self, state: State, made: Made) -> None:
        """Start empty."""
        state.pushes_out = self.pushes_out
        segments.make(made.ints, At(state.lists.place), self.limits(made.tier.capacity))
