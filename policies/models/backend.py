"""What every backend offers: the network, one question or a few at a time, on one device."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import torch

from policies.models.codecs.base import Classes, Floats
from policies.models.top import Choosing, Chosen


class DeviceTime(NamedTuple):
    """What a device took, and what the host took meanwhile to read its clock, which is no part of the work."""

    device_ns: int
    reading_ns: int


class Backend(ABC):
    """Runs accesses through the network. A state belongs to one stream; it is made, advanced and copied here alone."""

    name: ClassVar[str]
    device: ClassVar[str]
    """``cpu`` or ``cuda``."""

    is_tried: ClassVar[bool] = True
    """Whether ``auto`` tries it; one that takes long to make is taken by its name alone."""

    chooses: ClassVar[bool] = False
    """Whether it chooses the best classes by itself, on its device; else that is done on the host, from the scores."""

    takes_weights: ClassVar[bool] = False
    """Whether it can be given other weights while states go on."""

    place: torch.device = torch.device("cpu")
    """The very device."""

    @abstractmethod
    def __init__(self, network: Any, place: torch.device | None = None) -> None:
        """Bring the weights to where they are used: to ``place``, or the first device of the kind."""

    @classmethod
    def missing(cls) -> str | None:
        """Why it cannot be used here, or None."""
        return None

    def expect(self, n_steps: int) -> None:  # noqa: B027 - most have nothing to get ready
        """Get ready for questions of ``n_steps`` accesses from a new state. Optional: it can answer without."""

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

    def best(self, classes: Classes, states: Sequence[Any], choosing: Choosing) -> list[Chosen]:
        """As ``advance``, but of each state's scores the best classes: those that choose on the device, do it there."""
        return [choosing.of(scores) for scores in self.advance(classes, states)]

    def take(self, network: Any) -> None:
        """Answer by the weights of another network of the same shape from now on, in the same places.

        Only where it ``takes_weights``.
        """
        raise NotImplementedError(f"{self.name} keeps its weights")

    def take_device_time(self) -> DeviceTime:
        """What the device took for the calls since this was last asked; 0 where the host is the device."""
        return DeviceTime(0, 0)

    def held_bytes(self) -> int:
        """GPU memory that it keeps beside the states of streams: weights and copies of them, buffers, graphs."""
        return 0
