"""A GRU (Cho et al. 2014): one state a layer, a quarter fewer weights than an LSTM of its size."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from policies.models.nets.fields import Fields


class Gru(nn.Module):
    """An embedding a field, GRU, dropout, and a head. The state is (layers, B, H)."""

    def __init__(
        self, n_inputs: Sequence[int], n_scores: int, embedding: int = 64, hidden: int = 64, layers: int = 2,
        dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.embeddings = Fields(n_inputs, embedding)
        self.gru = nn.GRU(embedding, hidden, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, n_scores)

    def forward(self, classes: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Scores of what follows each access: (B, T, fields) int64 -> (B, T, C), and the state after the last."""
        embedded = self.embeddings(classes)  # (B, T, E)
        if state is not None and classes.shape[1] == 1 and not self.training and not torch.onnx.is_in_onnx_export():
            x, after = embedded[:, 0], []
            for weights, before in zip(self.gru.all_weights, state, strict=True):
                x = torch.gru_cell(x, before, *weights)
                after.append(x)
            return self.head(x[:, None]), torch.stack(after)
        output, state = self.gru(embedded, state)
        return self.head(self.dropout(output)), state
