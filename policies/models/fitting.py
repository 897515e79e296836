"""Moving a network's weights over sequences, and how wrong it was on the way."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from policies.models.codecs.base import IGNORE, UNKNOWN, Classes
from policies.models.entropy import Entropy, entropy
from policies.models.lanes import Encoded, chunks, last_chunks
from policies.models.network import Network
from policies.models.optimizer import optimizer_for
from policies.models.parts import Stepper
from policies.models.schedule import Schedule
from policies.models.sets import entropy_of_sets

TOP_K = 5


class Tally:
    """Loss and accuracy over targets; of the nearest horizon, with all fields right."""

    def __init__(self) -> None:
        self.loss = self.top1 = self.topk = 0.0
        self.n = 0

    def add(self, targets: Classes, found: Entropy) -> None:
        """Targets (N, fields) of the nearest horizon, and what was found of them."""
        valid = (targets != IGNORE).all(axis=-1)
        known = valid & (targets != UNKNOWN).all(axis=-1)
        n = int(valid.sum())
        self.loss += found.loss * n
        self.top1 += int((known & (found.ranks == 0).all(axis=-1)).sum())
        self.topk += int((known & (found.ranks < TOP_K).all(axis=-1)).sum())
        self.n += n

    def add_sets(self, loss: float, n: int, top1: int, topk: float) -> None:
        """Of sets: how many of the best classes, and which share of the best five, are in them."""
        self.loss += loss * n
        self.top1 += top1
        self.topk += topk
        self.n += n

    def take(self, other: "Tally") -> None:
        """What another one counted, too."""
        self.loss += other.loss
        self.top1 += other.top1
        self.topk += other.topk
        self.n += other.n

    def means(self) -> tuple[float, float, float]:
        """Loss, top-1 and top-k; NaN if there was nothing."""
        if self.n == 0:
            return (float("nan"),) * 3
        return self.loss / self.n, self.top1 / self.n, self.topk / self.n


def loss_of(model: Network, scores: Tensor, targets: Classes, config: Schedule, tally: Tally) -> Tensor | None:
    """The gradients (..., C) of the mean cross-entropy over horizons and fields: targets (..., horizons, fields)."""
    targets = targets.reshape(-1, *targets.shape[-2:])
    scores = scores.reshape(len(targets), -1)
    if config.target == "set":
        loss, slopes, right = entropy_of_sets(scores, targets, [model.spans[horizon][0] for horizon in config.horizons])
        tally.add_sets(loss, *right)
        return slopes
    found = entropy(scores, targets, model.spans, config.horizons)
    tally.add(targets[:, 0], found)
    return found.slopes


class Fitting:
    """One network and its optimiser, whose moments go on from pass to pass."""

    def __init__(
        self, model: Network, config: Schedule, device: torch.device, rng: np.random.Generator, seed: int
    ) -> None:
        """``rng`` cuts and orders the sequences, ``seed`` is of the dropout."""
        self._model, self._config, self._rng = model, config, rng
        self._optimizer = optimizer_for(model, config)

        def slopes_of(scores: Tensor, targets: Classes) -> tuple[Tensor | None, Tally]:
            said = Tally()
            return loss_of(model, scores, targets, config, said), said

        self._stepper = Stepper(model, slopes_of, device, seed)

    def _pieces(self, streams: Sequence[Encoded], rng: np.random.Generator) -> Iterator[tuple[Classes, Classes, bool]]:
        return (chunks if self._model.scores_each else last_chunks)(streams, self._config, rng)

    def n_steps(self, streams: Sequence[Encoded]) -> int:
        """Steps of a pass; another shift can add one."""
        return sum(1 for _ in self._pieces(streams, np.random.default_rng(0)))

    def run_over(
        self, streams: Sequence[Encoded], rate: Callable[[], tuple[float, float]], pool: ThreadPoolExecutor | None
    ) -> Tally:
        """A pass; ``rate`` gives rate and momentum of each step. The model is in training afterwards."""
        self._model.train()
        tally = Tally()
        for inputs, targets, goes_on in self._pieces(streams, self._rng):
            slopes, said = self._stepper.gradients(inputs, targets, pool, goes_on=goes_on)
            for part in said:
                tally.take(part)
            self._optimizer.step(slopes, *rate())
        return tally
