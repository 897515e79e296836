"""From config and training part to a policy that is ready to run."""

from collections.abc import Sequence
from statistics import median

from policies.given import Accesses, Built, Given
from policies.lstm.aim import pick_horizon
from policies.lstm.backends.registry import BACKENDS
from policies.lstm.batched import tables_of
from policies.lstm.config import LstmConfig
from policies.lstm.model import weights_of
from policies.lstm.policy import BatchedLstmPolicy, LstmPolicy
from policies.lstm.predictor import LstmPredictor
from policies.lstm.recipe import LstmRecipe
from policies.models.device import pick_device
from policies.models.store import Kept, kept_for, obtain
from policies.models.train import split, training_rows
from simulator.errors import InputError


def build_lstm(config: LstmConfig, given: Given) -> Built:
    """Train or load, choose backend, horizon and threshold, warm up.

    Raises:
        InputError: what the config asks for is not there, a kept model is damaged or of another run.
    """
    device = pick_device(config.wanted_device)
    sequences = given.sequences(config.per_stream)
    kept = kept_for(LstmRecipe(config), given, sequences, device)
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
    device = pick_device(config.wanted_device)
    obtain(given.sequences(config.per_stream), LstmRecipe(config), given.seed, device, given.progress)


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
    backend, trial_ns = BACKENDS.chosen(config.backend, device, weights, config.steps, given)
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
