"""Training on the first part of the trace, in time order, seeded: truncated back-propagation with carried state."""

import copy
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from policies.given import Accesses
from policies.models.calibration import Calibration, calibrate
from policies.models.codecs.base import Codec, Keys
from policies.models.controls import Standing, standing_of
from policies.models.fast_lstm import fast_network
from policies.models.fitting import Fitting, Tally, loss_of
from policies.models.lanes import Encoded, accesses_of, encode
from policies.models.network import Network
from policies.models.optimizer import one_cycle
from policies.models.parts import threads_for
from policies.models.schedule import Recipe, Schedule
from policies.models.scoring import scored, scores_along
from policies.models.sets import calibrate_set, set_standing_of
from policies.models.start import start_at_frequencies
from simulator.errors import InputError

Progress = Callable[[int, int, float, float], None]
"""Told (epoch from 1, epochs, mean loss, top-1 accuracy on the training part) after each epoch."""
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
        with threads_for(model.to(device), device) as pool:
            drawn = seed + attempt * _APART
            model, rows, kept = _fitted(model, fit, validation, recipe, rng, device, progress, drawn, pool)
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
    device: torch.device, progress: Progress | None, seed: int, pool: ThreadPoolExecutor | None,
) -> tuple[Network, list[Epoch], int]:  # fmt: skip
    """The network with the weights of its best epoch, all epochs, and which one that is."""
    config = recipe.schedule
    fitting = Fitting(model, config, device, rng, seed)
    n_steps = fitting.n_steps(fit)
    if n_steps == 0:
        raise InputError(
            f"policy.horizons: no access of the training part has another {config.horizons[0]} ahead of it in its "
            "stream; expected smaller horizons or a larger part"
        )
    rows: list[Epoch] = []
    best = (float("inf"), 0, copy.deepcopy(model.state_dict()))
    # A shift can add a step to an epoch; the schedule stays at its end then.
    n_all, n_done = config.epochs * n_steps + 1, 0

    def rate() -> tuple[float, float]:
        nonlocal n_done
        found = one_cycle(n_done, n_all, config.learning_rate)
        n_done = min(n_done + 1, n_all - 1)
        return found

    for epoch in range(1, config.epochs + 1):
        start = time.perf_counter()
        tally = fitting.run_over(fit, rate, pool)
        checked = _validate(fast_network(model.eval(), config, device), validation, config, device)
        rows.append(
            Epoch(
                epoch, *tally.means(), *checked, one_cycle(n_done, n_all, config.learning_rate)[0],
                time.perf_counter() - start,
            )
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


def _validate(
    model: Network, streams: list[Encoded], config: Schedule, device: torch.device
) -> tuple[float, float, float]:
    tally = Tally()
    for scores, targets in scored(model, streams, config, device):
        loss_of(model, scores, targets, config, tally)
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
