"""Captured CUDA graphs with static buffers, of anybody's network."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from policies.models.call import Runnable, call, with_zero_state
from policies.models.graphs import LENGTHS, GraphBackend
from policies.models.network import moved
from simulator.errors import InputError


class CudaGraph(GraphBackend):
    """One launch a question where a window is run; where a state is carried, one for each power of two of accesses."""

    takes_weights = True

    def __init__(self, network: Runnable, place: torch.device | None = None) -> None:
        network = with_zero_state(network, self.name)
        assert network.module is not None
        super().__init__(network, place)
        self._module = network.module.to(self.place)
        self._is_carried = network.is_carried
        first, self._spec = tree_flatten(moved(network.first_state, self.place) if network.is_carried else ())
        lengths = (network.window,) if network.window is not None else (1,) if network.takes_one else LENGTHS
        try:
            self._capture(first, lengths, network.n_fields)
        except RuntimeError as error:
            text = " ".join(str(error).split())[:300]
            raise InputError(
                f"policy.backend: 'cuda_graph' cannot capture {network.name}: {text}; expected eager"
            ) from None

    def _work(self, inputs: Tensor, state: Sequence[Tensor]) -> Tensor:
        given = tree_unflatten(list(state), self._spec) if self._is_carried else None
        scores, after = call(self._module, inputs, given, is_carried=self._is_carried)
        if self._is_carried:
            for part, new in zip(state, tree_flatten(after)[0], strict=True):
                part.copy_(new)
        return scores

    def take(self, network: Runnable) -> None:
        """See the base: graphs read the weights where they lie."""
        assert network.module is not None
        self._module.load_state_dict(network.module.state_dict())

    def _weights(self) -> Sequence[Tensor]:
        return [*self._module.parameters(), *self._module.buffers()]
