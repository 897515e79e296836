"""A GRU (Cho et al. 2014): one state a layer, a quarter fewer weights than an LSTM of its size."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from policies.models.nets.recurrent import Recurrent


class Gru(Recurrent):
    """An embedding a field, GRU, dropout, and a head. The state is (layers, B, H)."""

    gru: nn.GRU

    def __init__(
        self, n_inputs: Sequence[int], n_scores: int, embedding: int = 64, hidden: int = 64, layers: int = 2,
        dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(nn.GRU, "gru", n_inputs, n_scores, embedding, hidden, layers, dropout)

    def step(self, x: Tensor, state: Tensor, layers: list[list[Tensor]]) -> tuple[Tensor, Tensor]:
        """See the base."""
        after = []
        for weights, before in zip(layers, state.unbind(), strict=True):
            x = torch.gru_cell(x, before, *weights)
            after.append(x)
        return x, torch.stack(after)
