"""Each block may come in with the same chance, drawn anew each time."""

from typing import Any, ClassVar, Literal

from simulator.arrays import At
from simulator.compiled import internal
from simulator.quantities import Ratio
from simulator.records.arena import Arena, Block, state_of_admission, tier_at
from simulator.records.record import Record
from simulator.residency import randomness
from simulator.residency.settings import AdmissionHooks, AdmissionSettings, Made

# A probability is a whole number of so many parts.
PARTS = 1 << 53


class State(Record):
    """The chance, in parts."""

    parts: int


_state_at = state_of_admission(State)


@internal
def admits(arena: Arena, level: int, slot: At[Block], victim: At[Block]) -> bool:
    """Whether it is lucky."""
    return randomness.below(tier_at(arena, level), PARTS) < _state_at(arena, level).parts


class AdmitProbabilistic(AdmissionSettings):
    """Each block that comes is kept with the same chance."""

    kind: Literal["probabilistic"]
    probability: Ratio
    """The chance of each block to be kept."""

    state: ClassVar[Any] = State
    hooks: ClassVar[AdmissionHooks] = AdmissionHooks(admits)

    def prepare(self, state: State, made: Made) -> None:
        """The chance, in parts."""
        state.parts = round(self.probability * PARTS)
