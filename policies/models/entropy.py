"""Cross-entropy over many classes with the rank of each right one: compiled on a CPU, else PyTorch's."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from policies.models.codecs.base import IGNORE, Classes
from policies.models.kernels import HAS_KERNELS, entropies
from policies.models.network import Spans


class Entropy(NamedTuple):
    """The mean over horizons and fields, its gradients (N, C) or None, and the nearest horizon's ranks (N, fields).

    A rank is how many classes stand before the right one: those with a higher score, or the same and a lower number;
    where nothing is wanted it is -1.
    """

    loss: float
    slopes: Tensor | None
    ranks: Classes


def entropy(scores: Tensor, targets: Classes, spans: Spans, horizons: Sequence[int]) -> Entropy:
    """Of scores (N, C) and targets (N, horizons, fields). There are gradients where scores require them."""
    heads = [(i, j, *span) for i, horizon in enumerate(horizons) for j, span in enumerate(spans[horizon])]
    n_wanted = {(i, j): int((targets[:, i, j] != IGNORE).sum()) for i, j, _, _ in heads}
    n_heads = max(sum(n > 0 for n in n_wanted.values()), 1)
    ranks = np.full((len(targets), targets.shape[2]), -1, np.int64)
    if not HAS_KERNELS or scores.device.type != "cpu" or scores.dtype != torch.float32:
        return _by_torch(scores, targets, heads, n_wanted, ranks)
    scores = scores.detach()
    has_one = len(heads) == 1
    slopes = torch.empty_like(scores) if has_one else torch.zeros_like(scores)
    loss = 0.0
    for i, j, first, end in heads:
        n = n_wanted[i, j]
        if n == 0:
            continue
        part = scores if has_one else scores[:, first:end]
        rank = np.empty(len(targets), np.int64)
        total = entropies(
            part.numpy(), part.amax(dim=1).numpy(), np.ascontiguousarray(targets[:, i, j]), 1 / (n * n_heads),
            slopes.numpy()[:, first:end], rank,
        )  # fmt: skip
        loss += total / n / n_heads
        if i == 0:
            ranks[:, j] = rank
    return Entropy(loss, slopes, ranks)


def _by_torch(
    scores: Tensor, targets: Classes, heads: Sequence[tuple[int, int, int, int]],
    n_wanted: dict[tuple[int, int], int], ranks: Classes,
) -> Entropy:  # fmt: skip
    total = scores.new_zeros(())
    n_heads = 0
    for i, j, first, end in heads:
        if n_wanted[i, j] == 0:
            continue
        wanted, part = torch.from_numpy(targets[:, i, j].copy()).to(scores.device), scores[:, first:end]
        total = total + cross_entropy(part, wanted, ignore_index=IGNORE)
        n_heads += 1
        if i == 0:
            with torch.no_grad():
                own = part.gather(1, wanted.clamp(min=0)[:, None])
                places = torch.arange(part.shape[1], device=part.device)
                is_before = (part > own) | ((part == own) & (places < wanted[:, None]))
                ranks[:, j] = torch.where(wanted == IGNORE, -1, is_before.sum(dim=1)).cpu().numpy()
    loss = total / max(n_heads, 1)
    slopes = torch.autograd.grad(loss, [scores], retain_graph=True)[0] if loss.requires_grad else None
    return Entropy(float(loss.detach()), slopes, ranks)
