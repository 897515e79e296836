"""PyTorch as it comes, on any device."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from policies.models.backend import Backend
from policies.models.call import Runnable, call
from policies.models.codecs.base import Classes, Floats
from policies.models.cuda import OnCuda, bytes_of
from policies.models.network import cloned, moved


class Eager(Backend):
    """On the CPU. A state is a list of one: what the network gave last.

    Windows of a batch go together. What carries a state goes one by one: of anybody's state it is not known how
    several make a batch.
    """

    name = "eager"
    device = "cpu"
    takes_weights = True

    def __init__(self, network: Runnable, place: torch.device | None = None) -> None:
        if self.device == "cpu":
            # One small step at a time: a second thread costs more than it gives.
            torch.set_num_threads(1)
        assert network.module is not None
        self.place = torch.device(self.device) if place is None else place
        self._module: Any = network.module.to(self.place)
        self._is_carried = network.is_carried
        self._first = moved(network.first_state, self.place)

    def take(self, network: Runnable) -> None:
        """See the base."""
        assert network.module is not None
        self._module.load_state_dict(network.module.state_dict())

    def new_state(self) -> list[Any]:
        """What comes before the first access. Networks do not write to what they are given."""
        return [self._first]

    def copy(self, state: list[Any]) -> list[Any]:
        """Tensors of its own."""
        return [cloned(state[0])]

    def advance(self, classes: Classes, states: Sequence[list[Any]]) -> Floats:
        """See the base."""
        with torch.inference_mode():
            found: Floats = self._scores(torch.from_numpy(np.ascontiguousarray(classes)), states).numpy()
        return found

    def _scores(self, inputs: Tensor, states: Sequence[list[Any]]) -> Tensor:
        """Scores (B, C) on the device; the states go on."""
        if not self._is_carried:
            return call(self._module, inputs, None, is_carried=False)[0]
        found = []
        for i, state in enumerate(states):
            scores, state[0] = call(self._module, inputs[i : i + 1], state[0], is_carried=True)
            found.append(scores)
        return found[0] if len(found) == 1 else torch.cat(found)


class EagerCuda(OnCuda, Eager):
    """On a CUDA device."""

    def advance(self, classes: Classes, states: Sequence[list[Any]]) -> Floats:
        """See the base."""
        return self.on_device(classes, lambda inputs: self._scores(inputs, states))

    def held_bytes(self) -> int:
        """See the base."""
        return bytes_of([*self._module.parameters(), *self._module.buffers()])
