"""Hyperbolic caching (Blankstein, Sen & Freedman, ATC 2017): of some blocks drawn, the one used least per time.

Time is counted in uses of the tier. Blocks are taken to cost the same; their sizes only decide how many must go. A draw
may take a block twice. Victims are drawn anew at each eviction. ``aux``: uses since it came in.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from simulator.arrays import At
from simulator.compiled import internal
from simulator.records.arena import Arena, Block, entry_at, fields_of, state_of, tier_at
from simulator.records.record import Record
from simulator.residency import heap, randomness
from simulator.residency.heap import Heap
from simulator.residency.settings import EvictionHooks, EvictionSettings, Made


class State(Record):
    """The bag, the time, and how many are drawn."""

    bag: Heap
    now: int
    n_sample: int


class Fields(Record):
    """When it came in."""

    since: int


_state_at, _fields_at = state_of(State), fields_of(Fields)


@internal
def on_hit(arena: Arena, level: int, slot: At[Block]) -> None:
    """Count the use."""
    _state_at(arena, level).now += 1
    entry_at(arena, level, slot).aux += 1


@internal
def on_insert(arena: Arena, level: int, slot: At[Block]) -> None:
    """Its first use."""
    state = _state_at(arena, level)
    state.now += 1
    entry_at(arena, level, slot).aux = 1
    _fields_at(arena, level, slot).since = state.now
    heap.drop_in(arena, level, state.bag, slot)


@internal
def _draw(arena: Arena, level: int) -> At[Block]:
    n = _state_at(arena, level).bag.n
    return heap.element(arena, level, randomness.below(tier_at(arena, level), n)).slot


@internal
def victim(arena: Arena, level: int) -> At[Block]:
    """The fewest uses per time of a sample, the first drawn of those that are alike; products keep it whole."""
    state = _state_at(arena, level)
    now, worst = state.now + 1, _draw(arena, level)
    for _ in range(state.n_sample - 1):
        slot = _draw(arena, level)
        lived, worst_lived = now - _fields_at(arena, level, slot).since, now - _fields_at(arena, level, worst).since
        if entry_at(arena, level, slot).aux * worst_lived < entry_at(arena, level, worst).aux * lived:
            worst = slot
    return worst


@internal
def on_remove(arena: Arena, level: int, slot: At[Block], evicted: bool) -> None:
    """Out of the bag."""
    heap.draw_out(arena, level, _state_at(arena, level).bag, slot)


class Hyperbolic(EvictionSettings):
    """Hyperbolic caching (Blankstein et al., ATC 2017): of blocks drawn at random, the one used least per time."""

    kind: Literal["hyperbolic"]
    n_sample: Annotated[int, Field(ge=1, le=4096)] = 64
    """Blocks drawn at each eviction, of which the one used least per time goes: more is nearer to the true least."""

    state: ClassVar[Any] = State
    fields: ClassVar[Any] = Fields
    hooks: ClassVar[EvictionHooks | None] = EvictionHooks(on_insert, victim, on_remove, on_hit)

    def prepare(self, state: State, made: Made) -> None:
        """How many to draw."""
        state.n_sample = self.n_sample
