"""From config and training part to a network that is ready to predict."""

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from policies.given import Accesses, Built, Given
from policies.models.backend import Backend
from policies.models.backends.onnx import Onnx
from policies.models.backends.registry import backends_of
from policies.models.call import OneByOne, Runnable, checked, module_run, takes_one
from policies.models.config import EXPORTED, ONNX, ModelConfig
from policies.models.context import Carried, Context, Window
from policies.models.controls import least_confidence
from policies.models.device import pick_device
from policies.models.encoder import CodecEncoder, Encoder, Seen, Sizes, inputs_of
from policies.models.footprint import footprint
from policies.models.loading import arguments, class_of, exported, new_module, one_line, put, scripted, weights_in
from policies.models.made_up import MadeUp
from policies.models.model_policy import ModelPolicy, ModelPredictor
from policies.models.network import Network, n_bytes, state_bytes
from policies.models.predictor import WARM_UP_CALLS
from policies.models.provenance import of_device
from policies.models.recipe import ModelRecipe
from policies.models.store import Kept, kept_details, kept_for, obtain, read, training_sha256, vocabularies_in
from policies.models.train import known, training_rows
from policies.models.updated import Learner, UpdatedPolicy, update_bytes
from simulator.classes import class_of as outside_class
from simulator.classes import make, validated
from simulator.errors import InputError, OutsideError, frames_of
from simulator.policy import Policy

_WHAT = "a class with fit(training), inputs(run) and answers(last_key, scores)"


@dataclass(frozen=True)
class Made:
    """A network with its encoder, before it is put on a backend; ``kept`` if it was trained here."""

    encoder: Encoder
    network: Runnable
    n_scores: int
    left_state: Any
    kept: Kept | None


def build_model(config: ModelConfig, given: Given) -> Built:
    """Train or load, check against the encoder, choose a backend, warm up.

    Raises:
        InputError: what the config names is not there, damaged, or does not fit.
    """
    device = pick_device(config.wanted_device)
    needs = tuple(getattr(fresh_encoder(config), "needs", ()))
    sequences = given.sequences(config.per_stream, needs) if config.learns else []
    made = _made(config, given, sequences)
    backend, trial_ns = backends_of(config).chosen(config.backend, device, made.network, config.steps, given)
    predictor = ModelPredictor(config, made.encoder, backend, _context(config, backend, made.network), trial_ns)
    hash_ = _hash(config, sequences) if made.kept is None else made.kept.hash
    recorded = given.recorded
    if recorded is not None and recorded.model_hash != hash_:
        raise InputError(
            f"{recorded.source}: was recorded with model {recorded.model_hash}, but this run's is {hash_}; expected "
            "the same model, weights, encoder and training part"
        )
    standing = made.kept.trained.standings[config.horizon] if made.kept is not None else None
    threshold = least_confidence(config.rule, config.threshold, lambda: given.timing().break_even(), standing)
    timing = given.timing() if config.rule == "cost" and math.isfinite(threshold) else None
    details = known(
        {
            "model_hash": hash_,
            **predictor.details(),
            "n_classes": made.n_scores,
            **(kept_details(made.kept, config.horizon) if made.kept is not None else {}),
            "threshold": threshold,
        }
    )
    size = _footprint(config, given, made, backend)
    asked = ModelPolicy(predictor, config, threshold, size, needs, given.say, timing)
    policy: Policy = asked
    if config.update is not None:
        assert made.kept is not None
        learner = _learner(config, made.kept, given.seed, device)
        policy = UpdatedPolicy(
            asked, learner.warmed(sequences), lambda network: backend.take(_as_run(made, network)), config.update,
            per_stream=config.per_stream, footprint_bytes=size,
        )  # fmt: skip
    training = training_rows(made.kept.trained, config.horizon) if made.kept is not None else []
    path = made.kept.path if made.kept is not None else None
    first, then = _first_calls(config, sequences, needs)
    warm_up = asked.watched.call(predictor.warmed, first, then)[0]
    asks = MadeUp(ModelPolicy(predictor, config, 1.0, 0, needs, given.say), first, then)
    warm_up += asks.batches(given.batch_size)
    return Built(policy, details, training, warm_up, path, of_device(backend.place), asks)


def prepare_model(config: ModelConfig, given: Given) -> None:
    """Train it, or find it trained. Raises InputError as ``build_model`` does."""
    recipe = ModelRecipe(config, lambda: fresh_encoder(config))
    needs = tuple(getattr(fresh_encoder(config), "needs", ()))
    device = pick_device(config.wanted_device)
    with _own_errors(config):
        obtain(given.sequences(config.per_stream, needs), recipe, given.seed, device, given.progress)


@contextmanager
def _own_errors(config: ModelConfig) -> Iterator[None]:
    """What a person's network or encoder raises in training is its own error."""
    try:
        yield
    except (InputError, OutsideError, MemoryError, OSError):
        raise
    except (Exception, SystemExit) as error:
        # Torch's way to say that there is no memory.
        if (config.is_net and config.is_ours) or "allocate memory" in str(error):
            raise
        raise OutsideError.of(f"policy model {config.model}: in training", error) from error


def check_model(config: ModelConfig) -> None:
    """What can be found out before there is a trace: see ``ModelConfig.check``."""
    device = pick_device(config.wanted_device)
    if config.backend != "auto":
        backends_of(config).named(config.backend, device.type)
    elif not backends_of(config).available(device.type):
        missing = backends_of(config).kinds[0].missing() if device.type == "cpu" else "its backends run on the CPU"
        raise InputError(f"policy.model: {config.model} cannot be run on {device.type!r}: {missing}")
    fresh_encoder(config)
    config.fingerprint()
    if config.is_file:
        _from_file(config, 1, (1,))
    else:
        sizes: dict[str, Any] = {"n_inputs": (2,), "n_scores": 2}
        arguments(config, class_of(config), sizes | ({"window": config.window} if config.window else {}))
    if config.weights is not None:
        weights_in(config.place(config.weights))
    if config.vocabularies is not None:
        read(config.place(config.vocabularies))


def fresh_encoder(config: ModelConfig, temperature: float = 1.0) -> Any:
    """The encoder that a config names, not fitted yet. Raises InputError if it is none."""
    if config.is_ours:
        sizes = Sizes(config.vocabulary, config.page_blocks, (config.horizon,), config.target)
        return CodecEncoder(
            config.encoder, sizes, horizon=config.horizon, degree=config.degree, temperature=temperature,
            target=config.target, columns=config.columns,
        )  # fmt: skip
    kind = outside_class(config.encoder, config._beside, _WHAT).object
    absent = [name for name in ("fit", "inputs", "answers") if not callable(getattr(kind, name, None))]
    if absent:
        raise InputError(f"policy.encoder: {config.encoder}: has no {', '.join(absent)}; expected {_WHAT}")
    try:
        return make(kind, validated(kind, config.encoder_settings), {"seed": 0})
    except InputError as error:
        raise InputError(*(f"policy.encoder_{line}" for line in error.args)) from None
    except Exception as error:
        raise InputError(
            f"policy.encoder_settings: {config.encoder}: cannot be made: {type(error).__name__}: {one_line(error)}"
        ) from None


def _made(config: ModelConfig, given: Given, sequences: Sequence[Accesses]) -> Made:
    weights, found, kept = None, None, None
    if config.weights is not None:
        weights, found = weights_in(config.place(config.weights))
    encoder = fresh_encoder(config, config.temperature or found or 1.0)
    if config.train is not None:
        recipe = ModelRecipe(config, lambda: fresh_encoder(config))
        with _own_errors(config):
            kept = kept_for(recipe, given, sequences, pick_device(config.wanted_device))
        encoder = _trained_encoder(config, kept)
    elif config.vocabularies is not None:
        source = config.place(config.vocabularies)
        encoder.restore(vocabularies_in(read(source)[0]), str(source))
    else:
        _fit(config, encoder, sequences)
    n_scores = getattr(encoder, "n_scores", None)
    widest = tuple(getattr(encoder, "n_inputs", ()))
    n_fields = _n_fields(config, encoder, sequences)
    if config.is_file:
        network = _from_file(config, n_fields, widest or (0,) * n_fields)
    else:
        if kept is not None:
            module = kept.trained.model.bare
        else:
            module = new_module(config, widest, n_scores)
            assert weights is not None
            assert config.weights is not None
            put(weights, module, config.place(config.weights))
        network = Runnable(
            config.model, module.to("cpu").eval(), None, config.window, n_fields, widest or (0,) * n_fields
        )
    run = Onnx(network).raw if network.module is None else module_run(network)
    if network.module is None:
        network = replace(network, first_state=Onnx(network).new_state())
    _, n_given, left = checked(network, run, n_scores, config.encoder)
    with torch.inference_mode():
        if network.is_carried and takes_one(network, run):
            alone = OneByOne(network.module) if network.module is not None else None
            network = replace(network, module=alone, takes_one=True)
    return Made(encoder, network, n_given, left, kept)


def _trained_encoder(config: ModelConfig, kept: Kept) -> Any:
    codec = kept.trained.codec
    if not config.is_ours:
        return codec.encoder  # type: ignore[attr-defined]
    return CodecEncoder(
        config.encoder, codec=codec, horizon=config.horizon, degree=config.degree,
        temperature=kept.trained.calibrations[config.horizon].temperature, target=config.target,
        columns=config.columns,
    )  # fmt: skip


def _fit(config: ModelConfig, encoder: Any, sequences: Sequence[Accesses]) -> None:
    if not any(len(sequence.keys) for sequence in sequences):
        raise InputError("policy.encoder: the training part has no access to fit it to; expected a larger part")
    with _said_of(config, "fit"):
        encoder.fit(sequences)


@contextmanager
def _said_of(config: ModelConfig, method: str) -> Iterator[None]:
    """What an encoder raises before the run is bad input, in a line. Raises InputError."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        at = "".join(f"; {frame}" for frame in frames_of(error)[-1:])
        raise InputError(
            f"policy.encoder: {config.encoder}: {method} fails: {type(error).__name__}: {one_line(error)}{at}"
        ) from None


def _from_file(config: ModelConfig, n_fields: int, widest: tuple[int, ...]) -> Runnable:
    path = config.place(config.model)
    if config.model.endswith(ONNX):
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"policy.model: {path}: {error.strerror}; expected an ONNX file") from None
        network = Runnable(config.model, None, content, config.window, n_fields, widest)
        Onnx(network)
        return network
    if not path.is_file():
        raise InputError(f"policy.model: {path}: no such file; expected one beside the config, or where the run starts")
    if config.model.endswith(EXPORTED):
        module, first = exported(path, is_carried=config.is_carried)
        return Runnable(config.model, module, None, config.window, n_fields, widest, first)
    return Runnable(config.model, scripted(path), None, config.window, n_fields, widest)


def _n_fields(config: ModelConfig, encoder: Any, sequences: Sequence[Accesses]) -> int:
    """Fields of an access, and that the encoder gives a row each."""
    first, _ = _first_calls(config, sequences, tuple(getattr(encoder, "needs", ())))
    with _said_of(config, "inputs"):
        return int(inputs_of(encoder, first).shape[1])


def _first_calls(config: ModelConfig, sequences: Sequence[Accesses], needs: tuple[str, ...]) -> tuple[Seen, list[Seen]]:
    """Accesses that fill a window, and some to ask about one by one: of the training part, again and again."""
    longest = max(sequences, key=lambda sequence: len(sequence.keys), default=None)
    n = config.steps + WARM_UP_CALLS
    if longest is None or not len(longest.keys):
        keys, columns = np.arange(n, dtype=np.uint64), {}
    else:
        keys = np.resize(longest.keys, n)
        columns = {name: np.resize(longest.columns[name], n) for name in needs}

    def part(first: int, end: int) -> Seen:
        return Seen(keys[first:end], None, {name: column[first:end] for name, column in columns.items()})

    return part(0, config.steps), [part(i, i + 1) for i in range(config.steps, n)]


def _context(config: ModelConfig, backend: Backend, network: Runnable) -> Any:
    window = config.window

    def fresh() -> Context:
        if window is None:
            return Carried(backend)
        return Window(backend, window, np.zeros((window, network.n_fields), np.int64))

    return fresh


def _footprint(config: ModelConfig, given: Given, made: Made, backend: Backend) -> int:
    """See ``policies.models.footprint``; the weights of an ONNX file are its size."""
    network = made.network
    weights = n_bytes(network.module) if network.module is not None else len(network.onnx or b"")
    more = (given.n_streams if config.per_stream else 1) * state_bytes(made.left_state)
    if network.module is not None:
        more += update_bytes(network.module, config.update)
    return footprint(backend, weights, more, given) if config.in_gpu_memory else 0


def _learner(config: ModelConfig, kept: Kept, seed: int, device: torch.device) -> Learner:
    assert config.update is not None
    recipe = ModelRecipe(config, lambda: fresh_encoder(config))
    trained = kept.trained
    return Learner(
        trained.model, trained.codec, recipe, config.update, device, seed, lambda: _own_errors(config)
    )  # fmt: skip


def _as_run(made: Made, network: Network) -> Runnable:
    """What was learnt, in the form that its backend runs."""
    bare = network.bare
    return replace(made.network, module=OneByOne(bare) if made.network.takes_one else bare)


def _hash(config: ModelConfig, sequences: Sequence[Accesses]) -> str:
    """What tells a model that was not trained here from others: files, classes, and what its encoder was fitted to."""
    said = [config.shaping(), config.fingerprint(), config.temperature, training_sha256(sequences)]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:24]
