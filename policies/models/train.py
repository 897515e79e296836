"""Training on the first part of the trace, in time order, seeded: truncated back-propagation with carried state."""

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from policies.given import Accesses
from policies.models.calibration import Calibration, calibrate
from policies.models.codecs.base import IGNORE, UNKNOWN, Codec, Keys
from policies.models.controls import Standing, standing_of
from policies.models.lanes import Encoded, accesses_of, chunks, encode, last_chunks
from policies.models.network import Network, detached
from policies.models.schedule import Recipe, Schedule
from policies.models.scoring import scores_along, tensor
from policies.models.sets import calibrate_set, loss_of, right_of, set_standing_of
from policies.models.start import start_at_frequencies
from simulator.errors import InputError

Progress = Callable[[int, int, float, float], None]
"""Told (epoch from 1, epochs, mean loss, top-1 accuracy on the training part) after each epoch."""
TOP_K = 5
ATTEMPTS = 3
_APART = 1_000_003
_LEAST_VALIDATION = 64
_LEAST_FIT = 64
_CALIBRATION_ACCESSES = 8192


@dataclass(frozen=True)
class Epoch:
    """A row of the ``training`` table. Accuracies are of the nearest horizon; NaN where there is no validation part."""

    epoch: int
    loss: float
    top1_ratio: float
    topk_ratio: float
    validation_loss: float
    validation_top1_ratio: float
    validation_topk_ratio: float
    learning_rate: float
    train_s: float


@dataclass(frozen=True)
class Trained:
    """A model with the codec it speaks, how it was trained, how far its confidences can be trusted, and how it stands
    beside its controls; the last two by horizon.
    """  # noqa: D205

    model: Network
    codec: Codec
    epochs: list[Epoch]
    kept_epoch: int
    calibrations: dict[int, Calibration]
    standings: dict[int, Standing | None]
    n_restarts: int = 0


def training_rows(trained: Trained, horizon: int) -> list[dict[str, Any]]:
    """Rows of the ``training`` table; the calibration of the horizon stands in that of the epoch that was kept."""
    calibration = asdict(trained.calibrations[horizon])
    rows = []
    for row in trained.epochs:
        is_kept = row.epoch == trained.kept_epoch
        rows.append(
            known(asdict(row) | {"is_kept": is_kept} | (calibration if is_kept else dict.fromkeys(calibration)))
        )  # fmt: skip
    return rows


def known(row: dict[str, Any]) -> dict[str, Any]:
    """A row with null for what is no number: nothing was counted there."""
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()}


class _Tally:
    """Loss and accuracy over targets; of the nearest horizon, with all fields right."""

    def __init__(self) -> None:
        self.loss = self.top1 = self.topk = 0.0
        self.n = 0

    def add(self, loss: Tensor, scores: list[Tensor], targets: Tensor) -> None:
        valid = (targets != IGNORE).all(dim=-1)
        if bool(valid.all()):
            # As nearly always: then no scores need to be copied.
            scores, chosen = [field.reshape(-1, field.shape[-1]) for field in scores], targets.reshape(-1, len(scores))
        else:
            scores, chosen = [field[valid] for field in scores], targets[valid]
        right = in_k = (chosen != UNKNOWN).all(dim=-1)
        for i, found in enumerate(scores):
            wanted = chosen[:, i]
            right = right & (found.argmax(dim=-1) == wanted)
            # Its rank is how many have a higher score: to sort out the best takes several times as long.
            in_k = in_k & ((found > found.gather(1, wanted[:, None])).sum(dim=-1) < TOP_K)
        n = int(valid.sum())
        self.loss += float(loss.detach()) * n
        self.top1 += int(right.sum())
        self.topk += int(in_k.sum())
        self.n += n

    def add_sets(self, loss: Tensor, scores: Tensor, sets: Tensor) -> None:
        """Of sets: how many of the best classes, and which share of the best five, are in them."""
        n, top1, topk = right_of(scores, sets)
        self.loss += float(loss.detach()) * n
        self.top1 += top1
        self.topk += topk
        self.n += n

    def means(self) -> tuple[float, float, float]:
        if self.n == 0:
            return (float("nan"),) * 3
        return self.loss / self.n, self.top1 / self.n, self.topk / self.n


def split(sequences: Sequence[Accesses], config: Schedule) -> tuple[list[Accesses], list[Accesses]]:
    """The part to fit and the part to validate on: the end of each stream, in time order; none if it were too short."""
    fit, validation = [], []
    for keys, writes, columns in sequences:
        cut = len(keys) - round(len(keys) * config.validation_ratio)
        fit.append(Accesses(keys[:cut], writes[:cut], {name: c[:cut] for name, c in columns.items()}))
        validation.append(Accesses(keys[cut:], writes[cut:], {name: c[cut:] for name, c in columns.items()}))
    n_fit = sum(len(f.keys) for f in fit if len(f.keys) > 1)
    if sum(len(v.keys) for v in validation) < _LEAST_VALIDATION or n_fit < _LEAST_FIT:
        return list(sequences), []
    return fit, validation


def train(
    sequences: Sequence[Keys | Accesses],
    recipe: Recipe,
    seed: int,
    device: torch.device,
    progress: Progress | None = None,
) -> Trained:
    """Learn codec, weights and temperatures from ``sequences`` (one a stream).

    Codec and weights come from the fitted part alone, so that validation meets unknown blocks as the later run does.
    The weights of the epoch with the least validation loss are kept; training stops when ``patience`` epochs brought
    none lower. A model that came out blind, where a Markov table sees something, is trained again from other weights,
    twice at most; if all are blind, the one with the least validation loss is kept.

    Raises:
        InputError: there is nothing to predict, or the loss is no number any more.
    """
    if device.type == "cpu":
        # The same sums whatever ran before in this process; a second thread gains nothing at this size.
        torch.set_num_threads(1)
    config = recipe.schedule
    fit_part, validation_part = split([accesses_of(sequence) for sequence in sequences], config)
    codec = recipe.learn(fit_part)
    fit, validation = encode(fit_part, codec, config), encode(validation_part, codec, config)
    found: list[Trained] = []
    for attempt in range(ATTEMPTS):
        torch.manual_seed(seed + attempt * _APART)
        model = recipe.network(codec)
        start_at_frequencies(model, fit, config)
        rng = np.random.default_rng(seed if attempt == 0 else [seed, attempt])
        model, rows, kept = _fitted(model.to(device), fit, validation, recipe, rng, device, progress)
        standings = {
            horizon: standing_of(model, codec, fit_part, validation_part, (fit, validation), config, i, device)
            if config.target == "access"
            else set_standing_of(model, (fit, validation), config, i, device)
            for i, horizon in enumerate(config.horizons)
        }
        calibrations = _calibrations(model, validation, config, device)
        found.append(Trained(model, codec, rows, kept, calibrations, standings, attempt))
        nearest = standings[config.horizons[0]]
        if nearest is None or not (nearest.is_blind and nearest.has_context):
            return found[-1]
    best = min(found, key=lambda one: one.epochs[one.kept_epoch - 1].validation_loss)
    return replace(best, n_restarts=ATTEMPTS - 1)


def _fitted(
    model: Network, fit: list[Encoded], validation: list[Encoded], recipe: Recipe, rng: np.random.Generator,
    device: torch.device, progress: Progress | None,
) -> tuple[Network, list[Epoch], int]:  # fmt: skip
    """The network with the weights of its best epoch, all epochs, and which one that is."""
    config = recipe.schedule
    pieces = chunks if model.scores_each else last_chunks
    n_steps = sum(1 for _ in pieces(fit, config, np.random.default_rng(0)))
    if n_steps == 0:
        raise InputError(
            f"policy.horizons: no access of the training part has another {config.horizons[0]} ahead of it in its "
            "stream; expected smaller horizons or a larger part"
        )
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    # A shift can add a step to an epoch; the schedule stays at its end then.
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=config.epochs * n_steps + 1
    )
    rows: list[Epoch] = []
    best = (float("inf"), 0, copy.deepcopy(model.state_dict()))
    n_left = config.epochs * n_steps
    for epoch in range(1, config.epochs + 1):
        start = time.perf_counter()
        model.train()
        tally = _Tally()
        state: Any = None
        for inputs, targets, goes_on in pieces(fit, config, rng):
            scores, after = model(tensor(inputs, device), state if goes_on else None)
            state = detached(after)
            loss = _loss(model, scores, tensor(targets, device), config, tally)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
            optimizer.step()
            if n_left > 0:
                schedule.step()
                n_left -= 1
        checked = _validate(model.eval(), validation, config, device)
        rows.append(
            Epoch(epoch, *tally.means(), *checked, float(schedule.get_last_lr()[0]), time.perf_counter() - start)
        )  # fmt: skip
        if not math.isfinite(rows[-1].loss):
            raise InputError(
                f"policy {recipe.name}: training diverged in epoch {epoch}; expected a smaller learning_rate"
            )
        # Without a validation part, or with none that the nearest horizon reaches into, the last epoch is kept.
        if not math.isfinite(checked[0]) or checked[0] < best[0]:
            best = (checked[0], epoch, copy.deepcopy(model.state_dict()))
        is_last = epoch == config.epochs or epoch - best[1] >= config.patience
        if progress is not None:
            progress(epoch, epoch if is_last else config.epochs, rows[-1].loss, rows[-1].top1_ratio)
        if is_last:
            break
    model.load_state_dict(best[2])
    return model.eval(), rows, best[1]


def _loss(model: Network, scores: Tensor, targets: Tensor, config: Schedule, tally: _Tally) -> Tensor:
    """Mean cross-entropy over horizons and fields: scores (B, T, C), targets (B, T, horizons, fields)."""
    total = scores.new_zeros(())
    n_heads = 0
    for i, horizon in enumerate(config.horizons):
        for j, (first, end) in enumerate(model.spans[horizon]):
            if config.target == "set":
                total = total + loss_of(scores[..., first:end], targets[:, :, i])
                n_heads += 1
                continue
            wanted = targets[:, :, i, j].reshape(-1)
            if bool((wanted != IGNORE).any()):
                total = total + cross_entropy(scores[..., first:end].reshape(-1, end - first), wanted)
                n_heads += 1
    nearest = [scores[..., first:end] for first, end in model.spans[config.horizons[0]]]
    loss = total / max(n_heads, 1)
    with torch.no_grad():
        if config.target == "set":
            tally.add_sets(loss, nearest[0], targets[:, :, 0])
        else:
            tally.add(loss, nearest, targets[:, :, 0])
    return loss


def _validate(
    model: Network, streams: list[Encoded], config: Schedule, device: torch.device
) -> tuple[float, float, float]:
    tally = _Tally()
    for stream in streams:
        at = 0
        for scores in scores_along(model, stream.inputs, config, device):
            targets = tensor(stream.targets[at : at + len(scores)], device)
            _loss(model, scores[None], targets[None], config, tally)
            at += len(scores)
    return tally.means()


def _calibrations(
    model: Network, streams: list[Encoded], config: Schedule, device: torch.device
) -> dict[int, Calibration]:
    """A temperature for each horizon, from the first accesses of the validation part."""
    if not streams:
        return {horizon: Calibration() for horizon in config.horizons}
    scores, targets, n = [], [], 0
    for stream in streams:
        room = _CALIBRATION_ACCESSES - n
        if room <= 0:
            break
        pieces = scores_along(model, stream.inputs[:room], config, device)
        scores += [piece.cpu().numpy() for piece in pieces]
        targets.append(stream.targets[:room])
        n += len(targets[-1])
    all_scores, all_targets = np.concatenate(scores), np.concatenate(targets)
    return {
        horizon: calibrate([all_scores[:, a:b] for a, b in model.spans[horizon]], all_targets[:, i])
        if config.target == "access"
        else calibrate_set(all_scores[:, slice(*model.spans[horizon][0])], all_targets[:, i])
        for i, horizon in enumerate(config.horizons)
    }
