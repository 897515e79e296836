"""What recurrent networks here share: fields, layers of cells, dropout, a head; one access alone goes cell by cell."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from policies.models.nets.fields import Fields


class AtHand(NamedTuple):
    """All weights of a network: looking them up in modules takes two thirds as long as a step does with them."""

    tables: list[Tensor]
    layers: list[list[Tensor]]
    head: Tensor
    head_bias: Tensor


class Recurrent(nn.Module):
    """``kind`` is torch's, ``name`` the one that its weights are kept under."""

    kind: ClassVar[Callable[..., nn.RNNBase]]
    name: ClassVar[str]

    def __init__(
        self, n_inputs: Sequence[int], n_scores: int, embedding: int = 64, hidden: int = 64, layers: int = 2,
        dropout: float = 0.1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.embeddings = Fields(n_inputs, embedding)
        between = dropout if layers > 1 else 0.0
        self.add_module(self.name, self.kind(embedding, hidden, layers, batch_first=True, dropout=between))
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(hidden, n_scores)
        self._at_hand: AtHand | None = None

    def forward(self, classes: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """Scores of what follows each access: (B, T, fields) int64 -> (B, T, C), and the state after the last."""
        if state is None or classes.shape[1] > 1 or self.training or _is_traced():
            output, after = getattr(self, self.name)(self.embeddings(classes), state)
            return self.head(self.dropout(output)), after
        if self._at_hand is None:
            recurrent: Any = getattr(self, self.name)
            fields: Any = self.embeddings
            self._at_hand = AtHand(
                [table.weight for table in fields], [list(weights) for weights in recurrent.all_weights],
                self.head.weight, self.head.bias,
            )  # fmt: skip
        tables, layers, head, head_bias = self._at_hand
        parts = [torch.embedding(table, classes[:, 0, i]) for i, table in enumerate(tables)]
        top, after = self.step(parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1), state, layers)
        return linear(top, head, head_bias)[:, None], after

    def _apply(self, *arguments: Any, **named: Any) -> Any:
        """Moved to another device, its weights may be other tensors."""
        self._at_hand = None
        return super()._apply(*arguments, **named)  # type: ignore[no-untyped-call]

    @abstractmethod
    def step(self, x: Tensor, state: Any, layers: list[list[Tensor]]) -> tuple[Tensor, Any]:
        """One access (B, E) through all layers: the top's output (B, H), and the state."""


def _is_traced() -> bool:
    """Whether it is being exported: for any number of accesses, then."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]
