"""What training goes by: settings of the LSTM, or of any model that is trained in the run, and what is made of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from policies.given import Accesses
from policies.models.codecs.base import Codec, Vocabularies

if TYPE_CHECKING:
    from policies.models.network import Network


class Schedule(Protocol):
    """How sequences are cut, what is to be predicted, and how weights are fitted; no torch in sight."""

    @property
    def horizons(self) -> tuple[int, ...]:
        """How many accesses ahead, nearest first."""
        ...

    @property
    def target(self) -> Literal["access", "set"]:
        """Whether the access a horizon ahead is predicted, or the set of those up to it."""
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


class Recipe(Protocol):
    """What is trained: how accesses become classes, the network over them, and what its weights depend on."""

    @property
    def name(self) -> str:
        """What it is called in messages and in the names of kept models."""
        ...

    @property
    def schedule(self) -> Schedule:
        """How it is trained."""
        ...

    def learn(self, sequences: Sequence[Accesses]) -> Codec:
        """The codec for the part that is fitted. Raises InputError if it cannot be learned from that."""
        ...

    def restored(self, vocabularies: Vocabularies, sequences: Sequence[Accesses]) -> Codec:
        """The codec of a kept model that was fitted to the same sequences."""
        ...

    def network(self, codec: Codec) -> "Network":
        """Untrained. Raises InputError if it does not fit the codec."""
        ...

    def shaping(self) -> dict[str, Any]:
        """The settings that weights depend on."""
        ...

    def sources(self) -> Sequence[bytes]:
        """The code that weights depend on, beside what all recipes share."""
        ...
