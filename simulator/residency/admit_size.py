"""Only small blocks may come in."""

from typing import Any, ClassVar, Literal

from simulator.arrays import At
from simulator.compiled import internal
from simulator.quantities import Bytes
from simulator.records.arena import Arena, Block, block_at, state_of_admission
from simulator.records.record import Record
from simulator.residency.settings import AdmissionHooks, AdmissionSettings, Made


class State(Record):
    """The largest size that is kept, in bytes."""

    largest: int


_state_at = state_of_admission(State)


@internal
def admits(arena: Arena, level: int, slot: At[Block], victim: At[Block]) -> bool:
    """Whether it is small enough."""
    return block_at(arena, slot).size <= _state_at(arena, level).largest


class AdmitSize(AdmissionSettings):
    """Blocks of at most so many bytes are kept."""

    kind: Literal["size"]
    largest: Bytes
    """The largest block that is kept."""

    state: ClassVar[Any] = State
    hooks: ClassVar[AdmissionHooks] = AdmissionHooks(admits)

    def prepare(self, state: State, made: Made) -> None:
        """The size."""
        state.largest = self.largest
