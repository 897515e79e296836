"""The settings of training, those of the LSTM among them. No torch in sight."""

from typing import Annotated, Literal

from pydantic import Field

from simulator.config import Count, Strict

PositiveFloat = Annotated[float, Field(gt=0)]
TargetKind = Literal["access", "set"]
"""What a prediction is about: the access so far ahead, or all that come up to it, whichever they are."""


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
