"""A GRU (Cho et al. 2014): one state a layer, a quarter fewer weights than an LSTM of its size."""

import torch
from torch import Tensor, nn

from policies.models.nets.recurrent import Recurrent


class Gru(Recurrent):
    """An embedding a field, GRU, dropout, and a head. The state is (layers, B, H)."""

    gru: nn.GRU

    kind, name = nn.GRU, "gru"

    def step(self, x: Tensor, state: Tensor, layers: list[list[Tensor]]) -> tuple[Tensor, Tensor]:
        """See the base."""
        after = []
        for weights, before in zip(layers, state.unbind(), strict=True):
            x = torch.gru_cell(x, before, *weights)
            after.append(x)
        return x, torch.stack(after)
