"""A small Transformer over a window (Vaswani et al. 2017): learned places, norms first, each access sees those before.

Leaves out what makes large ones fast: keys and values are not kept from question to question, as in a window that
moves on every access has another place.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from policies.models.nets.fields import Fields


class Transformer(nn.Module):
    """An embedding a field and a place, ``layers`` of causal attention, and a head."""

    def __init__(
        self, n_inputs: Sequence[int], n_scores: int, window: int, embedding: int = 64, heads: int = 4,
        hidden: int = 128, layers: int = 2, dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.embeddings = Fields(n_inputs, embedding)
        self.places = nn.Embedding(window, embedding)
        layer = nn.TransformerEncoderLayer(
            embedding, heads, hidden, dropout, activation="gelu", batch_first=True, norm_first=True
        )  # fmt: skip
        self.encoder = nn.TransformerEncoder(layer, layers, nn.LayerNorm(embedding), enable_nested_tensor=False)
        self.register_buffer("ahead", torch.ones(window, window, dtype=torch.bool).triu(1), persistent=False)
        self.head = nn.Linear(embedding, n_scores)

    def forward(self, classes: Tensor) -> Tensor:
        """Scores of what follows each access: (B, T, fields) int64 -> (B, T, C), T up to the window."""
        n = classes.shape[1]
        x = self.embeddings(classes) + self.places.weight[:n]  # (B, T, E)
        ahead: Tensor = self.ahead  # type: ignore[assignment]
        # Else torch looks whether the mask is a causal one, and the host waits for what it finds: in a graph it cannot.
        scores: Tensor = self.head(self.encoder(x, mask=ahead[:n, :n], is_causal=True))
        return scores
