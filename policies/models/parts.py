"""A step of training in parts: lanes side by side on threads, with the same weights to the bit on any number of them.

How a batch is divided depends on its size alone. Each part draws its own dropout, and the gradients are summed in the
order of the parts, so that it does not matter which of them were computed at once.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from policies.models.codecs.base import IGNORE, Classes
from policies.models.fast_lstm import FastLstm, fast_lstm_of
from policies.models.network import Network, detached
from policies.models.scoring import tensor
from policies.models.threads import n_threads

_LANES = 8
"""The fewest of a part: with fewer the products are too small."""
_MOST = 8

Slopes = list[Tensor | None]
Loss = Callable[[Tensor, Classes], tuple[Tensor | None, Any]]
"""Told scores (B, T, C) and targets: the gradients (B * T, C) of the mean loss, and whatever is to be known of it."""


class Stepper:
    """Gradients of batches that follow on each other."""

    def __init__(self, model: Network, loss: Loss, device: torch.device, seed: int) -> None:
        self._model, self._loss, self._device = model, loss, device
        self._parameters = list(model.parameters())
        net = fast_lstm_of(model, device)
        self._fast = [] if net is None else [FastLstm(net, seed * _MOST + i) for i in range(_MOST)]
        self._names = [] if net is None else [name for name, _ in net.named_parameters()]
        self._state: Any = None

    def gradients(
        self, inputs: Classes, targets: Classes, pool: ThreadPoolExecutor | None, *, goes_on: bool
    ) -> tuple[Slopes, list[Any]]:
        """Of the mean loss over inputs (B, T, fields) and targets (B, T, horizons, ...); and what was said of it.

        The gradients are valid until the next call.
        """
        if not self._fast:
            scores, after = self._model(tensor(inputs, self._device), self._state if goes_on else None)
            self._state = detached(after)
            slopes, said = self._loss(scores, targets)
            flat = scores.reshape(-1, scores.shape[-1])
            return list(torch.autograd.grad([flat], self._parameters, [slopes], allow_unused=True)), [said]
        n_parts = min(max(len(inputs) // _LANES, 1), _MOST)
        ends = [len(inputs) * i // n_parts for i in range(n_parts + 1)]
        is_wanted = (targets != IGNORE).any(axis=(2, 3))
        n_wanted = int(is_wanted.sum())

        def part(i: int) -> Any:
            lanes = slice(ends[i], ends[i + 1])
            share = float(is_wanted[lanes].sum() / n_wanted)
            # Lanes that have ended: neither they nor their states matter any more.
            return None if share == 0 else self._part(i, inputs[lanes], targets[lanes], share, goes_on=goes_on)

        makes = pool.map if pool is not None and n_parts > 1 else map
        said = list(makes(part, range(n_parts)))
        found = [fast.slopes for fast, one in zip(self._fast, said, strict=False) if one is not None]
        for more in found[1:]:
            for name in self._names:
                found[0][name] += more[name]
        return [found[0][name] for name in self._names], [one for one in said if one is not None]

    def _part(self, i: int, inputs: Classes, targets: Classes, share: float, *, goes_on: bool) -> Any:
        with torch.no_grad():
            scores = self._fast[i].forwards(inputs, goes_on=goes_on)
            slopes, said = self._loss(scores, targets.swapaxes(0, 1))
            assert slopes is not None
            self._fast[i].backwards(slopes if share == 1 else slopes.mul_(share))
        return said


@contextmanager
def threads_for(model: Network, device: torch.device) -> Iterator[ThreadPoolExecutor | None]:
    """If there are cores to spare, and it can use them."""
    n = min(n_threads(), _MOST) if fast_lstm_of(model, device) is not None else 1
    if n == 1:
        yield None
        return
    with ThreadPoolExecutor(n, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield pool
