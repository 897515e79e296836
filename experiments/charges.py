"""What the clock is charged for deciding (rule R15), as a config says it."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from simulator.config import Bytes, Nanoseconds, Strict
from simulator.one_line import in_line
from simulator.quantities import PathText
from simulator.units import parse_bytes, parse_ns

Pace = Literal["back_to_back", "simulated", "cold"]
_SHARE, _LONGEST, _TOUCHED = 0.02, "2 ms", "64 MiB"
_OF_PACES = {
    "share": (_SHARE, ("simulated", "cold")),
    "longest": (parse_ns(_LONGEST), ("simulated",)),
    "touched": (parse_bytes(_TOUCHED), ("cold",)),
}
"""What each usually is, and the paces that it goes with."""


class Measured(Strict):
    """Each inference's own time, asked at the simulation's pace, at the simulated system's, or from cold caches."""

    kind: Literal["measured"]
    pace: Pace = "back_to_back"
    """What comes before a question: the one before it, the pause that the simulated clock has, or other work."""
    clock: Literal["wall", "cpu"] = "wall"
    """What is charged: wall time, or what of it the asking thread had of a processor."""
    share: Annotated[float, Field(gt=0, le=1)] = _SHARE
    """Of the questions this share is asked at that pace; the others are charged what one of those took."""
    longest: Nanoseconds = Field(_LONGEST, validate_default=True)
    """Longer pauses are cut to this, with `pace: simulated`."""
    touched: Bytes = Field(_TOUCHED, validate_default=True)
    """What the other work reads and writes, with `pace: cold`."""

    @model_validator(mode="after")
    def _fits(self) -> "Measured":
        for name, (usual, paces) in _OF_PACES.items():
            if self.pace not in paces and getattr(self, name) != usual:
                raise ValueError(f"{name}: goes with pace: {' or '.join(paces)}; expected none with {self.pace}")
        return self


class Replay(Strict):
    """The latencies that an earlier run recorded: ``source`` is its folder, ``arm`` its arm (default: this one).

    Without a source those that the policy's answers come with (``kind: file``).
    """

    kind: Literal["replay"]
    source: PathText | None = None
    """The folder of the run that recorded them."""
    arm: str | None = None
    """Its arm; null: the one of this arm's name."""
    decisions: Literal["recomputed", "recorded"] = "recomputed"
    """Whether a network answers anew, which must come out as recorded, or what it decided then is taken."""


class Sampled(Strict):
    """The latencies that an earlier run recorded, drawn or in their order, times ``scale``; ``assumed`` as in Fixed."""

    kind: Literal["sampled"]
    source: PathText
    """The folder of the run that recorded them."""
    arm: str | None = None
    """Its arm; null: the one of this arm's name."""
    order: Literal["drawn", "recorded"] = Field("drawn", exclude_if=lambda value: value == "drawn")
    """`drawn`: with replacement; `recorded`: one after the other, and from the first again after the last."""
    scale: Annotated[float, Field(gt=0, le=1e6)] = 1.0
    """Factor on each latency."""
    assumed: Nanoseconds | None = None
    """What the policy assumes that a question takes, where it weighs cost; null: what is charged."""


class Fixed(Strict):
    """The same for each. ``assumed``: the policy decides as if a question took so long (default: what is charged)."""

    kind: Literal["fixed"]
    latency: Nanoseconds
    """Of each inference."""
    assumed: Nanoseconds | None = None
    """What the policy assumes that a question takes, where it weighs cost; null: `latency`."""


class Free(Strict):
    """Nothing is charged."""

    kind: Literal["free"]


AnyCharge = Measured | Replay | Sampled | Fixed | Free
_Charge = Annotated[AnyCharge, Field(discriminator="kind")]
ChargeConfig = Annotated[_Charge, BeforeValidator(in_line, json_schema_input_type=str | _Charge)]
"""What the clock is charged; also in a line, ``fixed(latency=20 us)``."""
