"""What every backend offers: the network, one question or a few at a time, on one device."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from policies.models.codecs.base import Classes, Floats


class Backend(ABC):
    """Runs accesses through the network. A state belongs to one stream; it is made, advanced and copied here alone."""

    name: ClassVar[str]
    device: ClassVar[str]
    """``cpu`` or ``cuda``."""

    is_tried: ClassVar[bool] = True
    """Whether ``auto`` tries it; one that takes long to make is taken by its name alone."""

    @abstractmethod
    def __init__(self, network: Any) -> None:
        """Bring the weights to where they are used."""

    @classmethod
    def missing(cls) -> str | None:
        """Why it cannot be used here, or None."""
        return None

    @abstractmethod
    def new_state(self) -> Any:
        """The state before the first access: zero."""

    @abstractmethod
    def copy(self, state: Any) -> Any:
        """A state that goes its own way from here."""

    @abstractmethod
    def advance(self, classes: Classes, states: Sequence[Any]) -> Floats:
        """Advance B states by T accesses each, classes (B, T, fields): the scores (B, C) of what follows the last.

        Done when it returns: the scores are on the host, nothing is still running on the device.
        """

    def last_device_ns(self) -> int:
        """What the device took for the last call; 0 where the host is the device."""
        return 0
