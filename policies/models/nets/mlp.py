"""A perceptron over a window: every place of the window has weights of its own."""

from collections.abc import Sequence

from torch import Tensor, nn

from policies.models.nets.fields import Fields


class Mlp(nn.Module):
    """An embedding a field, the window's laid end to end, ``layers`` of ReLU, and a head."""

    def __init__(
        self, n_inputs: Sequence[int], n_scores: int, window: int, embedding: int = 32, hidden: int = 128,
        layers: int = 2, dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.embeddings = Fields(n_inputs, embedding)
        parts: list[nn.Module] = []
        for n in (window * embedding, *[hidden] * (layers - 1)):
            parts += [nn.Linear(n, hidden), nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*parts)
        self.head = nn.Linear(hidden, n_scores)

    def forward(self, classes: Tensor) -> Tensor:
        """Scores of what follows the last access: (B, window, fields) int64 -> (B, C)."""
        scores: Tensor = self.head(self.layers(self.embeddings(classes).flatten(1)))
        return scores
