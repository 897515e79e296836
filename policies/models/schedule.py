"""What training goes by. The settings of the LSTM have it, and those of any model that is trained in the run."""

from typing import Literal, Protocol


class Schedule(Protocol):
    """How sequences are cut, what is to be predicted, and how weights are fitted; no torch in sight."""

    @property
    def horizons(self) -> tuple[int, ...]:
        """How many accesses ahead, nearest first."""
        ...

    @property
    def targets(self) -> Literal["reads", "all"]:
        """Whether a write is worth a prediction."""
        ...

    @property
    def is_carried(self) -> bool:
        """Whether a state is carried from access to access; else each prediction sees a window alone."""
        ...

    @property
    def window(self) -> int:
        """Accesses of a piece that is trained at once; of a window."""
        ...

    @property
    def epochs(self) -> int:
        """At most so many times over the training part."""
        ...

    @property
    def batch_size(self) -> int:
        """Pieces side by side."""
        ...

    @property
    def learning_rate(self) -> float:
        """The highest of the schedule."""
        ...

    @property
    def weight_decay(self) -> float:
        """Of AdamW."""
        ...

    @property
    def clip_norm(self) -> float:
        """The longest gradient."""
        ...

    @property
    def validation_ratio(self) -> float:
        """The end of each stream, to validate on."""
        ...

    @property
    def patience(self) -> int:
        """Epochs without a lower validation loss that end it."""
        ...
