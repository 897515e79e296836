"""An LSTM, as ``kind: lstm`` trains it: the same weights by the same names."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from policies.models.nets.fields import Fields

State = tuple[Tensor, Tensor]
"""h and c, both (layers, B, H)."""


class Lstm(nn.Module):
    """An embedding a field, LSTM, dropout, and a head."""

    def __init__(
        self, n_inputs: Sequence[int], n_scores: int, embedding: int = 64, hidden: int = 64, layers: int = 2,
        dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.embeddings = Fields(n_inputs, embedding)
        self.lstm = nn.LSTM(embedding, hidden, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, n_scores)

    def forward(self, classes: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Scores of what follows each access: (B, T, fields) int64 -> (B, T, C), and the state after the last."""
        embedded = self.embeddings(classes)  # (B, T, E)
        if state is not None and classes.shape[1] == 1 and not self.training and not torch.onnx.is_in_onnx_export():
            output, after = self._step(embedded[:, 0], *state)
        else:
            output, after = self.lstm(embedded, state)
        return self.head(self.dropout(output)), after

    def _step(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, State]:
        """One access (B, E), cell by cell: what ``nn.LSTM`` does around it takes longer than its products."""
        hs, cs = [], []
        for weights, h_before, c_before in zip(self.lstm.all_weights, h, c, strict=True):
            x, c_after = torch.lstm_cell(x, (h_before, c_before), *weights)
            hs.append(x)
            cs.append(c_after)
        return x[:, None], (torch.stack(hs), torch.stack(cs))
