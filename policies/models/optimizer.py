"""AdamW with clipped gradients along one cycle of rates: PyTorch's, and the same compiled for a CPU.

PyTorch's own brings its compiler and SymPy into the process when it is made, seconds of start-up that a training of a
few thousand accesses would pay as often as it is run.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from policies.models.codecs.base import Floats
from policies.models.kernels import HAS_KERNELS, move, squares
from policies.models.schedule import Schedule

_RISING, _FIRST, _LAST = 0.3, 25.0, 1e4
_LEAST_MOMENTUM, _MOST_MOMENTUM, _DECAY, _EPSILON = 0.85, 0.95, 0.999, 1e-8


def one_cycle(step: int, n_steps: int, peak: float) -> tuple[float, float]:
    """Rate and momentum of a step, of ``n_steps`` (Smith and Topin 2018): as ``torch.optim.lr_scheduler.OneCycleLR``.

    Along half cosines the rate rises from a 25th to the peak in three tenths of the steps, while the momentum falls,
    and then falls to a 10,000th of where it began. After the last step both stay.
    """
    top, end = _RISING * n_steps - 1, n_steps - 1
    if step <= top:
        done, rates, momenta = step / top, (peak / _FIRST, peak), (_MOST_MOMENTUM, _LEAST_MOMENTUM)
    else:
        done = min((step - top) / (end - top), 1.0) if end > top else 1.0
        rates, momenta = (peak, peak / _FIRST / _LAST), (_LEAST_MOMENTUM, _MOST_MOMENTUM)
    away = (1 + math.cos(math.pi * done)) / 2
    return rates[1] + (rates[0] - rates[1]) * away, momenta[1] + (momenta[0] - momenta[1]) * away


class Optimizer(Protocol):
    """What moves the weights."""

    def step(self, slopes: Sequence[Tensor | None], rate: float, momentum: float) -> None:
        """Along the gradients, one for each parameter, clipped together; in place of whatever they were."""
        ...


def optimizer_for(model: nn.Module, config: Schedule) -> Optimizer:
    """The compiled one where all weights are what it can move."""
    can = HAS_KERNELS and all(
        weights.device.type == "cpu" and weights.dtype == torch.float32 and weights.is_contiguous()
        for weights in model.parameters()
    )
    return _Compiled(model, config) if can else _Torch(model, config)


class _Moved(NamedTuple):
    weights: Floats
    means: Floats
    squared: Floats


class _Compiled:
    def __init__(self, model: nn.Module, config: Schedule) -> None:
        # Arrays over the parameters' own memory.
        flat = [weights.detach().view(-1).numpy() for weights in model.parameters()]
        self._moved = [_Moved(weights, np.zeros_like(weights), np.zeros_like(weights)) for weights in flat]
        self._n_steps = [0] * len(flat)
        self._config = config

    def step(self, slopes: Sequence[Tensor | None], rate: float, momentum: float) -> None:
        """See the protocol."""
        flat = [None if slope is None else slope.contiguous().view(-1).numpy() for slope in slopes]
        norm = math.sqrt(sum(squares(slope) for slope in flat if slope is not None))
        scale = min(self._config.clip_norm / (norm + 1e-6), 1.0) if math.isfinite(norm) else math.nan
        for i, (moved, slope) in enumerate(zip(self._moved, flat, strict=True)):
            if slope is None:
                continue
            self._n_steps[i] += 1
            n = self._n_steps[i]
            move(
                moved.weights, slope, moved.means, moved.squared, scale, 1 - rate * self._config.weight_decay,
                rate / (1 - momentum**n), momentum, _DECAY, math.sqrt(1 - _DECAY**n), _EPSILON,
            )  # fmt: skip


class _Torch:
    def __init__(self, model: nn.Module, config: Schedule) -> None:
        self._parameters = list(model.parameters())
        self._clip_norm = config.clip_norm
        self._optimizer = torch.optim.AdamW(
            self._parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )

    def step(self, slopes: Sequence[Tensor | None], rate: float, momentum: float) -> None:
        """See the protocol."""
        for weights, slope in zip(self._parameters, slopes, strict=True):
            weights.grad = slope
        nn.utils.clip_grad_norm_(self._parameters, self._clip_norm)
        for group in self._optimizer.param_groups:
            group["lr"], group["betas"] = rate, (momentum, _DECAY)
        self._optimizer.step()
