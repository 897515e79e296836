"""What all networks here begin with: an embedding for each field of an access, side by side."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Fields(nn.ModuleList):
    """(B, T, fields) int64 -> (B, T, ``size``); ``n_inputs`` are the classes of each field."""

    def __init__(self, n_inputs: Sequence[int], size: int) -> None:
        sizes = [size // len(n_inputs)] * (len(n_inputs) - 1)
        sizes.append(size - sum(sizes))
        super().__init__(nn.Embedding(n, part) for n, part in zip(n_inputs, sizes, strict=True))

    def forward(self, classes: Tensor) -> Tensor:
        """Look each field up."""
        parts = [table(classes[..., i]) for i, table in enumerate(self)]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)
