"""An LSTM, as ``kind: lstm`` trains it: the same weights by the same names."""

import torch
from torch import Tensor, nn

from policies.models.nets.recurrent import Recurrent

State = tuple[Tensor, Tensor]
"""h and c, both (layers, B, H)."""


class Lstm(Recurrent):
    """An embedding a field, LSTM, dropout, and a head."""

    lstm: nn.LSTM

    kind, name = nn.LSTM, "lstm"

    def step(self, x: Tensor, state: State, layers: list[list[Tensor]]) -> tuple[Tensor, State]:
        """See the base."""
        hs, cs = [], []
        for weights, h, c in zip(layers, state[0].unbind(), state[1].unbind(), strict=True):
            x, c_after = torch.lstm_cell(x, (h, c), *weights)
            hs.append(x)
            cs.append(c_after)
        return x, (torch.stack(hs), torch.stack(cs))
