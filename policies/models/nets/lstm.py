"""An LSTM, as ``kind: lstm`` trains it: the same weights by the same names."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from policies.models.nets.recurrent import Recurrent

State = tuple[Tensor, Tensor]
"""h and c, both (layers, B, H)."""


class Lstm(Recurrent):
    """An embedding a field, LSTM, dropout, and a head."""

    lstm: nn.LSTM

    def __init__(
        self, n_inputs: Sequence[int], n_scores: int, embedding: int = 64, hidden: int = 64, layers: int = 2,
        dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__(nn.LSTM, "lstm", n_inputs, n_scores, embedding, hidden, layers, dropout)

    def step(self, x: Tensor, state: State, layers: list[list[Tensor]]) -> tuple[Tensor, State]:
        """See the base."""
        hs, cs = [], []
        for weights, h, c in zip(layers, state[0].unbind(), state[1].unbind(), strict=True):
            x, c_after = torch.lstm_cell(x, (h, c), *weights)
            hs.append(x)
            cs.append(c_after)
        return x, (torch.stack(hs), torch.stack(cs))
