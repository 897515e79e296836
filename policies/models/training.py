"""The settings of training, those of the LSTM among them. No torch in sight."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from policies.base import PolicySettings
from simulator.config import Count, Nanoseconds, Strict

PositiveFloat = Annotated[float, Field(gt=0)]
TargetKind = Literal["access", "set"]
"""What a prediction is about: the access so far ahead, or all that come up to it, whichever they are."""


class UpdateConfig(Strict):
    """Training on the newest accesses while running; old weights answer until it is over."""

    every: Count
    """Accesses that it is shown from the beginning of one training to that of the next, at least."""
    window: Annotated[int, Field(ge=2)]
    """The newest accesses, which it is trained on."""
    where: Literal["free", "shared", "side"] = "shared"
    """Who is charged its time: nobody, the inference server whenever nobody asks, or a device of its own."""
    passes: Count = 1
    """How often it goes over them."""
    learning_rate: PositiveFloat = 2e-3
    """Of each step."""
    takes: Literal["measured"] | Nanoseconds = "measured"
    """How long it takes: its own wall time, or as long as this says."""

    @model_validator(mode="after")
    def _fits(self) -> "UpdateConfig":
        if self.where == "free" and self.takes != "measured":
            raise ValueError("takes: goes with where: shared or side; expected none with free")
        return self

    @property
    def is_timed(self) -> bool:
        """Whether its own time is charged."""
        return self.where != "free" and self.takes == "measured"


class Updatable(PolicySettings):
    """The settings of a policy that may go on learning while it runs."""

    update: UpdateConfig | None = None
    """Training on while running; null: it stays as it was trained."""

    newer: ClassVar[tuple[str, ...]] = ("update",)
    """Settings that are left out where they say nothing."""

    @model_serializer(mode="wrap")
    def _without_usual(self, described: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Experiments that were made before there was such a setting are the same ones.
        found: dict[str, Any] = described(self)
        for name in self.newer:
            if not getattr(self, name):
                found.pop(name, None)
        return found

    @property
    def times_updates(self) -> bool:
        """Whether the time of its updates is charged as measured."""
        return self.update is not None and self.update.is_timed


class TrainConfig(Strict):
    """Training on the first part of the trace, in time order."""

    targets: Literal["reads", "all"] = "reads"
    """What it learns to predict: blocks that are read (a write needs no fetch), or all."""
    window: Annotated[int, Field(ge=1, le=4096)] = 16
    """Accesses of a piece of back-propagation, and of a window where no state is carried."""
    epochs: Count = 20
    """Passes over the training part, at most."""
    batch_size: Annotated[int, Field(ge=1, le=2**16)] = 16
    """Pieces in a training step."""
    learning_rate: PositiveFloat = 1e-2
    """The peak of a one-cycle schedule."""
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    """Of AdamW."""
    clip_norm: PositiveFloat = 1.0
    """Gradients are cut to this norm."""
    validation_ratio: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    """End of the training part that is kept for early stopping and for calibrating confidences."""
    patience: Count = 6
    """Stops after so many epochs without a lower validation loss."""
