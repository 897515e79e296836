"""TinyLFU (Einziger, Friedman & Manes, TOS 2017): who comes into a full tier is compared with who would have to go.

Into a full tier comes only what was asked for more often of late than the first block that would go; a draw is for the
one that is there. Every use is counted by a sketch.
"""

from typing import Any, ClassVar, Literal

from simulator.arrays import NONE, At
from simulator.compiled import internal
from simulator.records.arena import Arena, Block, block_at, state_of_admission
from simulator.records.record import Record
from simulator.residency import sketch
from simulator.residency.settings import AdmissionHooks, AdmissionSettings, Made
from simulator.residency.sketch import Sketch


class State(Record):
    """Where the sketch is."""

    sketch: At[Sketch]


_state_at = state_of_admission(State)


@internal
def count(arena: Arena, level: int, slot: At[Block]) -> None:
    """A block was asked for."""
    area = _state_at(arena, level).sketch
    sketch.add(arena, area, block_at(arena, slot).key)
    sketch.age(arena, area)


@internal
def admits(arena: Arena, level: int, slot: At[Block], victim: At[Block]) -> bool:
    """Whether it has more uses than the victim."""
    if victim == NONE:
        return True
    area = _state_at(arena, level).sketch
    comes, goes = block_at(arena, slot).key, block_at(arena, victim).key
    return sketch.estimate(arena, area, comes) > sketch.estimate(arena, area, goes)


class AdmitTinyLfu(AdmissionSettings):
    """A full tier keeps only what was asked for more often of late than what would go (Einziger 2017)."""

    kind: Literal["tinylfu"]

    state: ClassVar[Any] = State
    hooks: ClassVar[AdmissionHooks] = AdmissionHooks(admits, count)
    sketches: ClassVar[bool] = True

    def area_words(self, n_blocks: int) -> int:
        """The sketch."""
        return sketch.words_for(n_blocks)

    def prepare(self, state: State, made: Made) -> None:
        """An empty sketch."""
        sketch.make(made.ints, made.area, made.n_blocks)
        state.sketch = made.area
