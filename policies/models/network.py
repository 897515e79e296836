"""What the trainer and the backends take a network to be, whatever it is made of."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

import policies.models.device  # noqa: F401 - sets torch up
from policies.models.call import parts

Spans = Mapping[int, Sequence[tuple[int, int]]]
"""For each horizon the (first, end) columns of each field's scores."""


class Network(nn.Module):
    """Scores of what follows accesses, and a state that goes on."""

    spans: Spans
    is_padded = False
    """Whether a window is always full, with unknown accesses before the first; else the first windows are shorter."""
    scores_each = True
    """Whether it scores what follows each access of its inputs; else what follows the last one alone."""

    @abstractmethod
    def forward(self, classes: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """(B, T, fields) int64 -> (B, T, C), and the state after the last; (B, 1, C) without ``scores_each``."""

    @abstractmethod
    def last(self, classes: Tensor) -> Tensor:
        """Scores (B, C) of what follows the last of (B, T, fields), from the first state."""

    @property
    def bare(self) -> nn.Module:
        """What has the weights, by the names under which they are kept."""
        return self


class Wrapped(Network):
    """A module that takes (B, T, fields), and with a carried context a state or None; gives (B, C) or (B, T, C)."""

    is_padded = True

    def __init__(self, module: nn.Module, spans: Spans, *, is_carried: bool, scores_each: bool) -> None:
        super().__init__()
        self.module = module
        self.spans = spans
        self.scores_each = scores_each
        self._is_carried = is_carried

    def forward(self, classes: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """See the base."""
        scores, after = parts(self.module(classes, state) if self._is_carried else self.module(classes))
        return (scores if scores.dim() == 3 else scores[:, None]), after

    def last(self, classes: Tensor) -> Tensor:
        """See the base."""
        return self(classes)[0][:, -1]

    @property
    def bare(self) -> nn.Module:
        """The module."""
        return self.module


def detached(state: Any) -> Any:
    """A state of any nested tuples, lists and dicts of tensors, cut off from what led to it."""
    return tree_map(lambda part: part.detach() if isinstance(part, Tensor) else part, state)


def cloned(state: Any) -> Any:
    """A state that goes its own way."""
    return tree_map(lambda part: part.clone() if isinstance(part, Tensor) else part, state)


def n_bytes(module: nn.Module) -> int:
    """What weights and buffers occupy."""
    tensors = [*module.parameters(), *module.buffers()]
    return int(sum(tensor.numel() * tensor.element_size() for tensor in tensors))


def state_bytes(state: Any) -> int:
    """What a state occupies."""
    parts = torch.utils._pytree.tree_leaves(state)
    return int(sum(part.numel() * part.element_size() for part in parts if isinstance(part, Tensor)))


def moved(state: Any, device: torch.device) -> Any:
    """A state on a device."""
    return tree_map(lambda part: part.to(device) if isinstance(part, Tensor) else part, state)
