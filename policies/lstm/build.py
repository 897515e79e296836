"""From config and training part to a policy that is ready to run."""

import math
from collections.abc import Sequence
from statistics import median

import numpy as np
import torch

from policies.given import Accesses, Built, Given
from policies.lstm.aim import pick_horizon
from policies.lstm.backends.registry import backends_of
from policies.lstm.batched import tables_of
from policies.lstm.config import LstmConfig
from policies.lstm.model import weights_of
from policies.lstm.policy import BatchedLstmPolicy, CompiledLstmPolicy, LstmPolicy
from policies.lstm.predictor import LstmPredictor
from policies.lstm.recipe import LstmRecipe
from policies.models.choice import ready
from policies.models.controls import least_confidence
from policies.models.device import pick_device
from policies.models.encoder import Seen
from policies.models.footprint import footprint
from policies.models.made_up import MadeUp
from policies.models.predictor import WARM_UP_CALLS
from policies.models.provenance import of_device
from policies.models.store import Kept, kept_for, obtain
from policies.models.train import split, training_rows
from policies.models.updated import Learner, UpdatedPolicy, update_bytes
from simulator.errors import InputError


def build_lstm(config: LstmConfig, given: Given) -> Built:
    """Train or load, choose backend, horizon and threshold, warm up.

    Raises:
        InputError: what the config asks for is not there, a kept model is damaged or of another run.
    """
    device = pick_device(config.wanted_device)
    sequences = given.sequences(config.per_stream)
    kept = kept_for(LstmRecipe(config), given, sequences, device)
    predictor = _predictor(config, given, kept, sequences, device)
    standing = kept.trained.standings[predictor.horizon]
    threshold = least_confidence(config.rule, config.threshold, lambda: given.timing().break_even(), standing)
    timing = given.timing() if config.rule == "cost" and math.isfinite(threshold) else None
    n_lines = given.n_streams if config.per_stream else 1
    more_bytes = n_lines * predictor.state_bytes + update_bytes(kept.trained.model, config.update)
    size = footprint(predictor.backend, predictor.n_bytes, more_bytes, given) if config.in_gpu_memory else 0
    if config.predictions == "batched":
        keys = given.simulated(config.per_stream)
        made = tables_of(keys, predictor, device)
        asked: LstmPolicy = BatchedLstmPolicy(predictor, threshold, n_lines, made, keys, size, timing)
    elif CompiledLstmPolicy.can_ask(predictor):
        asked = CompiledLstmPolicy(predictor, threshold, n_lines, size, timing)
    else:
        asked = LstmPolicy(predictor, threshold, size, timing)
    policy: LstmPolicy | UpdatedPolicy = asked
    if config.update is not None:
        learner = Learner(kept.trained.model, kept.trained.codec, LstmRecipe(config), config.update, device, given.seed)
        policy = UpdatedPolicy(
            asked, learner.warmed(sequences),
            lambda network: predictor.backend.take(weights_of(network, predictor.horizon)), config.update,
            per_stream=config.per_stream, footprint_bytes=size,
        )  # fmt: skip
    asks = _made_up(predictor, given.batch_size)
    warm_up = _first_calls(predictor, asks)
    if config.predictions != "batched":
        warm_up += asks.batches(given.batch_size)
    details = predictor.details() | {"threshold": threshold}
    training = training_rows(kept.trained, predictor.horizon)
    return Built(policy, details, training, warm_up, kept.path, of_device(predictor.backend.place), asks)


def _made_up(predictor: LstmPredictor, n_lines: int = 1) -> MadeUp:
    """Questions as the run will ask them."""
    policy = LstmPolicy(predictor, 1.0)
    if CompiledLstmPolicy.can_ask(predictor):
        policy = CompiledLstmPolicy(predictor, 1.0, n_lines)
    # Windows are full from the first call on, as they soon are in a run.
    full = Seen(np.arange(predictor.config.steps, dtype=np.uint64))
    return MadeUp(policy, full, [Seen(np.full(1, i, np.uint64)) for i in range(WARM_UP_CALLS)])


def _first_calls(predictor: LstmPredictor, asks: MadeUp) -> list[tuple[int, int]]:
    """Host and device time, in ns, of the calls that are made before the run."""
    if not CompiledLstmPolicy.can_ask(predictor):
        return predictor.warm_up
    return [(asks().host_ns, 0) for _ in range(WARM_UP_CALLS)]


def prepare_lstm(config: LstmConfig, given: Given) -> None:
    """Train, or find the model trained. Raises InputError as ``build_lstm`` does."""
    device = pick_device(config.wanted_device)
    obtain(given.sequences(config.per_stream), LstmRecipe(config), given.seed, device, given.progress)


def _predictor(
    config: LstmConfig, given: Given, kept: Kept, sequences: Sequence[Accesses], device: torch.device
) -> LstmPredictor:
    """On the backend that is named, was recorded, or is fastest; at the horizon that is named, recorded, or pays."""
    fitted = split(sequences, config)[0]
    horizons = [h for h in config.horizons if any(len(sequence.keys) > h for sequence in fitted)]
    if config.horizon != "auto" and config.horizon not in horizons:
        raise InputError(f"policy.horizon: {config.horizon} is further than any stream of the training part goes on")
    nearest = horizons[0] if config.horizon == "auto" else config.horizon
    horizon = given.recorded.horizon if given.recorded is not None else nearest
    weights = weights_of(kept.trained.model, horizon)
    backend, trial_ns = backends_of(config).chosen(config.backend, device, weights, config.steps, given)
    predictor = LstmPredictor(kept, config, backend, horizon, trial_ns)
    if config.horizon != "auto" or len(horizons) == 1 or given.recorded is not None:
        return predictor
    inference_ns = given.timing().inference_ns
    if inference_ns is None:
        warm_up = _first_calls(predictor, _made_up(predictor))
        inference_ns = median(host_ns for host_ns, _ in warm_up[len(warm_up) // 2 :])
    horizon = pick_horizon(horizons, given.timing(), inference_ns)
    if horizon == predictor.horizon:
        return predictor
    backend = ready(type(backend), weights_of(kept.trained.model, horizon), device, config.steps)
    return LstmPredictor(kept, config, backend, horizon, trial_ns)
