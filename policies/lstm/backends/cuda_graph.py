"""Captured CUDA graphs with static buffers: one launch a call, the state updated in place on the device.

A graph is captured for each power of two of accesses up to 64, when the backend is made; other runs are cut into
such pieces.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from policies.lstm.backends.eager import EagerCuda
from policies.lstm.model import Weights
from policies.models.graphs import LENGTHS, GraphBackend


class CudaGraph(GraphBackend):
    """A batch goes one by one: each question is one launch, or a few. A state is one tensor (2, layers, 1, H)."""

    takes_weights = True

    def __init__(self, weights: Weights, place: torch.device | None = None) -> None:
        super().__init__(weights, place)
        self._eager = EagerCuda(weights, self.place)
        first = torch.zeros((2, weights.n_layers, 1, weights.n_hidden), device=self.place)
        self._capture([first], LENGTHS, weights.n_fields)

    def _work(self, inputs: Tensor, state: Sequence[Tensor]) -> Tensor:
        after = [state[0][0], state[0][1]]
        scores = self._eager.scores(inputs, [after])
        state[0][0].copy_(after[0])
        state[0][1].copy_(after[1])
        return scores

    def take(self, network: Weights) -> None:
        """See the base: graphs read the weights where they lie."""
        self._eager.take(network)

    def _weights(self) -> Sequence[Tensor]:
        return self._eager.weights()
