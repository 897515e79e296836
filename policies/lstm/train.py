"""Training on the first part of the trace, in time order, seeded."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from policies.lstm.codecs.base import UNKNOWN, Classes, Codec, Keys
from policies.lstm.config import LstmConfig
from policies.lstm.model import LstmModel

Progress = Callable[[int, int, float, float], None]
"""Told (epoch from 1, epochs, mean loss, top-1 accuracy on the training part) after each epoch."""


@dataclass(frozen=True)
class Epoch:
    """A row of the ``training`` table."""

    epoch: int
    loss: float
    top1_ratio: float
    train_s: float


def train(
    sequences: list[Keys],
    codec: Codec,
    config: LstmConfig,
    seed: int,
    device: torch.device,
    progress: Progress | None = None,
) -> tuple[LstmModel, list[Epoch]]:
    """A model that predicts the next class at every position of windows over ``sequences`` (one a stream)."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = LstmModel(codec.n_classes, config).to(device)
    encoded = [codec.encode(keys) for keys in sequences if len(keys) > codec.history_keys + 1]
    optimizer = torch.optim.Adam(model.parameters(), lr=config.learning_rate)
    loss_of = nn.CrossEntropyLoss()
    # Each epoch walks every stream once from a random start, in windows one longer than what inference sees: the
    # target of a position is the class after it.
    n_steps = sum(1 for _ in _windows(encoded, config, np.random.default_rng(seed)))
    if n_steps == 0:
        return model.eval(), []
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=config.epochs * (n_steps + len(encoded)) + 1
    )
    rows: list[Epoch] = []
    model.train()
    for epoch in range(1, config.epochs + 1):
        start = time.perf_counter()
        loss_sum = n_right = n_targets = 0.0
        for batch in _windows(encoded, config, rng):
            windows = batch.to(device)
            scores = model(windows[:, :-1])  # (B, T, C)
            targets = windows[:, 1:]
            loss = loss_of(scores.reshape(-1, codec.n_classes), targets.reshape(-1))
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
            optimizer.step()
            schedule.step()
            loss_sum += float(loss.detach()) * targets.numel()
            n_right += int(((scores.argmax(-1) == targets) & (targets != UNKNOWN)).sum())
            n_targets += targets.numel()
        rows.append(Epoch(epoch, loss_sum / n_targets, n_right / n_targets, time.perf_counter() - start))
        if progress is not None:
            progress(epoch, config.epochs, rows[-1].loss, rows[-1].top1_ratio)
    return model.eval(), rows


def _windows(encoded: list[Classes], config: LstmConfig, rng: np.random.Generator) -> Iterator[Tensor]:
    """Shuffled batches of windows (B, window + 1), the last of an epoch smaller."""
    length = config.window + 1
    pieces = []
    for classes in encoded:
        usable = max(len(classes) - length, 0)
        start = int(rng.integers(min(config.window, usable) + 1))
        n = (len(classes) - start - 1) // config.window
        if n > 0:
            index = start + np.arange(n)[:, None] * config.window + np.arange(length)[None, :]
            pieces.append(classes[index])
        elif len(classes) >= 2:
            # A stream shorter than a window: repeat its first class in front, as inference does.
            pieces.append(np.pad(classes, (length - len(classes), 0), mode="edge")[None, :])
    if not pieces:
        return
    windows = np.concatenate(pieces)
    order = rng.permutation(len(windows))
    for at in range(0, len(order), config.batch_size):
        yield torch.from_numpy(windows[order[at : at + config.batch_size]])
