"""From config and training part to a policy that is ready to run."""

from collections.abc import Sequence
from statistics import median

import torch

from policies.given import Accesses, Built, Given
from policies.lstm.aim import pick_horizon
from policies.lstm.backends.base import Backend
from policies.lstm.backends.registry import pick, preferred
from policies.lstm.batched import tables_of
from policies.lstm.config import LstmConfig
from policies.lstm.model import pick_device, weights_of
from policies.lstm.policy import BatchedLstmPolicy, LstmPolicy
from policies.lstm.predictor import LstmPredictor
from policies.lstm.store import Kept, load, obtain, training_sha256
from policies.lstm.train import split, training_rows
from simulator.errors import InputError


def build_lstm(config: LstmConfig, given: Given) -> Built:
    """Train or load, choose backend, horizon and threshold, warm up.

    Raises:
        InputError: what the config asks for is not there, a kept model is damaged or of another run.
    """
    device = pick_device(config.wanted_device)
    sequences = given.sequences(config.per_stream)
    kept = _kept(config, given, sequences, device)
    predictor = _predictor(config, given, kept, sequences, device.type)
    threshold = given.timing().break_even() if config.rule == "cost" else config.threshold
    n_lines = given.n_streams if config.per_stream else 1
    if config.predictions == "batched":
        keys = given.simulated(config.per_stream)
        policy: LstmPolicy = BatchedLstmPolicy(predictor, threshold, n_lines, tables_of(keys, predictor, device))
    else:
        policy = LstmPolicy(predictor, threshold, n_lines)
    details = predictor.details() | {"threshold": threshold}
    return Built(policy, details, training_rows(kept.trained, predictor.horizon), predictor.warm_up, kept.path)


def prepare_lstm(config: LstmConfig, given: Given) -> None:
    """Train, or find the model trained. Raises InputError as ``build_lstm`` does."""
    obtain(given.sequences(config.per_stream), config, given.seed, pick_device(config.wanted_device), given.progress)


def _kept(config: LstmConfig, given: Given, sequences: Sequence[Accesses], device: torch.device) -> Kept:
    """The model of the recording that is replayed, else one that is trained on the spot or was before."""
    recorded = given.recorded
    if recorded is not None and recorded.model_file is not None:
        return load(recorded.model_file, config, training_sha256(sequences), recorded.model_hash)
    kept = obtain(sequences, config, given.seed, device, given.progress)
    if recorded is not None and kept.hash != recorded.model_hash:
        raise InputError(
            f"{recorded.source}: was recorded with model {recorded.model_hash}, but this run's is {kept.hash}, and the "
            "recorded one is not beside it in models/; expected the whole folder of results"
        )
    return kept


def _predictor(
    config: LstmConfig, given: Given, kept: Kept, sequences: Sequence[Accesses], device: str
) -> LstmPredictor:
    """On the backend that is named, was recorded, or is fastest; at the horizon that is named, recorded, or pays."""
    fitted = split(sequences, config)[0]
    horizons = [h for h in config.horizons if any(len(sequence.keys) > h for sequence in fitted)]
    if config.horizon != "auto" and config.horizon not in horizons:
        raise InputError(f"policy.horizon: {config.horizon} is further than any stream of the training part goes on")
    nearest = horizons[0] if config.horizon == "auto" else config.horizon
    horizon = given.recorded.horizon if given.recorded is not None else nearest
    weights = weights_of(kept.trained.model, horizon)
    trial_ns: dict[str, float] = {}
    backend: Backend
    if given.recorded is not None:
        # What predicted then if it is here: another one would round differently.
        backend = preferred(given.recorded.backend, device)(weights)
    elif config.backend == "auto" and not given.is_measured:
        # No call's time is charged, so nothing speaks for a choice that could differ from run to run.
        backend = preferred(None, device)(weights)
    else:
        backend, trial_ns = pick(config.backend, device, weights, config.steps)
    predictor = LstmPredictor(kept, config, backend, horizon, trial_ns)
    if config.horizon != "auto" or len(horizons) == 1 or given.recorded is not None:
        return predictor
    inference_ns = given.timing().inference_ns
    if inference_ns is None:
        inference_ns = median(host_ns for host_ns, _ in predictor.warm_up[len(predictor.warm_up) // 2 :])
    horizon = pick_horizon(horizons, given.timing(), inference_ns)
    if horizon == predictor.horizon:
        return predictor
    return LstmPredictor(kept, config, type(backend)(weights_of(kept.trained.model, horizon)), horizon, trial_ns)
