"""Trained models on disk: safetensors, under a hash of everything that shaped the weights."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from policies.given import Accesses, Given
from policies.models.calibration import Calibration
from policies.models.codecs.base import Keys
from policies.models.controls import Standing
from policies.models.places import fetch_model, models_address, models_folder, note, put_model
from policies.models.schedule import Recipe
from policies.models.train import Epoch, Progress, Trained, split, train
from simulator.errors import InputError

_CODEC = "codec."
_SOURCES = (
    "train.py", "start.py", "scoring.py", "lanes.py", "calibration.py", "controls.py", "codecs/base.py", "entropy.py",
    "fast_lstm.py", "fitting.py", "kernels.py", "optimizer.py", "parts.py", "sets.py", "wanted.py",
)  # fmt: skip


@dataclass(frozen=True)
class Kept:
    """A trained model with what identifies it: ``coverage`` is the share of the training part that its codec knows."""

    trained: Trained
    hash: str
    training_sha256: str
    coverage: float
    was_cached: bool
    path: Path


def kept_details(kept: Kept, horizon: int) -> dict[str, Any]:
    """What the ``runs`` table says of a model that was trained."""
    trained = kept.trained
    calibration = trained.calibrations[horizon]
    return {
        "vocabulary_coverage_ratio": kept.coverage,
        "validation_top1_ratio": trained.epochs[trained.kept_epoch - 1].validation_top1_ratio,
        "temperature": calibration.temperature,
        "ece_before_ratio": calibration.ece_before_ratio,
        "ece_after_ratio": calibration.ece_after_ratio,
        "model_was_cached": kept.was_cached,
        "train_s": sum(row.train_s for row in trained.epochs),
        "n_restarts": trained.n_restarts,
        **_standing_details(trained.standings[horizon]),
    }


def _standing_details(standing: Standing | None) -> dict[str, Any]:
    if standing is None:
        return dict.fromkeys(("named_ratio", "beats_control", "control", "control_top1_ratio"))
    return {
        "named_ratio": standing.named_ratio,
        "beats_control": standing.beats_control,
        "control": standing.control,
        "control_top1_ratio": standing.control_ratio,
    }


def training_sha256(sequences: Sequence[Accesses]) -> str:
    """A hash of the training part, sequence by sequence."""
    digest = hashlib.sha256()
    for keys, writes, columns in sequences:
        digest.update(len(keys).to_bytes(8, "little"))
        digest.update(np.ascontiguousarray(keys).tobytes())
        digest.update(np.ascontiguousarray(writes).tobytes())
        for name, column in columns.items():
            digest.update(name.encode() + np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


def model_hash(recipe: Recipe, training: str, seed: int, device: torch.device) -> str:
    """A hash of config, training part, seed, code, torch's version and kind of device."""
    digest = hashlib.sha256(json.dumps(recipe.shaping(), sort_keys=True).encode())
    digest.update(f"{training} {seed} {torch.__version__} {device.type}".encode())
    for name in _SOURCES:
        digest.update((Path(__file__).parent / name).read_bytes())
    for source in recipe.sources():
        digest.update(source)
    return digest.hexdigest()[:24]


def obtain(
    sequences: Sequence[Accesses], recipe: Recipe, seed: int, device: torch.device, progress: Progress | None = None
) -> Kept:
    """Train on sequences, or load the model if just this one was trained before.

    Raises:
        InputError: the kept model is damaged, or there is nothing to train on.
    """
    if not any(len(sequence.keys) > 2 for sequence in sequences):
        raise InputError(f"policy {recipe.name}: no stream of the training part has 3 accesses; expected a larger part")
    training = training_sha256(sequences)
    hash_ = model_hash(recipe, training, seed, device)
    path = models_folder() / f"{recipe.name}-{hash_}.safetensors"
    note(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of processes that need the same model one trains it, and the others wait for it.
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            fetch_model(path)
        if path.exists():
            return _loaded(path, recipe, training, hash_, sequences)
        trained = train(sequences, recipe, seed, device, progress)
        coverage = trained.codec.coverage([sequence.keys for sequence in split(sequences, recipe.schedule)[0]])
        kept = Kept(trained, hash_, training, coverage, False, path)
        save(kept, recipe)
        put_model(path)
        return kept


def _loaded(path: Path, recipe: Recipe, training: str, hash_: str, sequences: Sequence[Accesses]) -> Kept:
    try:
        kept = load(path, recipe, training, hash_, sequences)
    except InputError:
        if models_address() is not None:
            # A copy: what is to be deleted is what it was copied from.
            path.unlink()
        raise
    put_model(path)
    return kept


def kept_for(recipe: Recipe, given: Given, sequences: Sequence[Accesses], device: torch.device) -> Kept:
    """The model of the recording that is replayed, else one that is trained on the spot or was before.

    Raises:
        InputError: it is damaged, or was not kept and is another one than this run's.
    """
    recorded = given.recorded
    if recorded is not None and recorded.model_file is not None:
        return load(recorded.model_file, recipe, training_sha256(sequences), recorded.model_hash, sequences)
    kept = obtain(sequences, recipe, given.seed, device, given.progress)
    if recorded is not None and kept.hash != recorded.model_hash:
        raise InputError(
            f"{recorded.source}: was recorded with model {recorded.model_hash}, but this run's is {kept.hash}, and the "
            "recorded one is not beside it in models/; expected the whole folder of results"
        )
    return kept


def save(kept: Kept, recipe: Recipe) -> None:
    """Write aside, then rename: a crash leaves no half model."""
    kept.path.parent.mkdir(parents=True, exist_ok=True)
    trained = kept.trained
    tensors = {name: weight.detach().cpu().contiguous() for name, weight in trained.model.bare.state_dict().items()}
    for name, vocabulary in trained.codec.vocabularies.items():
        tensors[_CODEC + name] = torch.from_numpy(vocabulary.view(np.int64).copy())
    metadata = {
        "hash": kept.hash,
        "training_sha256": kept.training_sha256,
        "config": json.dumps(recipe.shaping(), sort_keys=True),
        "extra": json.dumps(
            {
                "coverage": kept.coverage,
                "epochs": [asdict(row) for row in trained.epochs],
                "kept_epoch": trained.kept_epoch,
                "n_restarts": trained.n_restarts,
                "calibrations": {str(h): asdict(c) for h, c in trained.calibrations.items()},
                "standings": {str(h): None if s is None else asdict(s) for h, s in trained.standings.items()},
            }
        ),
    }
    metadata["content_sha256"] = _content(tensors, metadata)
    aside = kept.path.with_suffix(f".{os.getpid()}.part")
    try:
        save_file(tensors, aside, metadata=metadata)
        aside.replace(kept.path)
    except SafetensorError as error:
        raise OSError(f"{kept.path}: cannot be written: {error}") from None
    finally:
        aside.unlink(missing_ok=True)


def _content(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> str:
    """A hash of everything in the file."""
    digest = hashlib.sha256(json.dumps({k: v for k, v in metadata.items() if k != "content_sha256"}).encode())
    for name in sorted(tensors):
        digest.update(f"{name} {tuple(tensors[name].shape)}".encode())
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()


def read(path: Path, what_to_do: str = "") -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """All tensors of a safetensors file, and its metadata.

    Raises:
        InputError: it is not there, damaged, or has values that are no numbers; then ``what_to_do`` is said, too.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            tensors: dict[str, torch.Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected a trained model") from None
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: is damaged or no model: {error}{what_to_do}") from None
    check_finite(tensors, path, what_to_do)
    return tensors, metadata


def check_finite(tensors: Mapping[str, torch.Tensor], path: Path, what_to_do: str = "") -> None:
    """Weights are numbers. Raises InputError if one is none."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise InputError(f"{path}: {name} has values that are no numbers{what_to_do}")


def is_ours(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> bool:
    """Whether a file is as ``save`` wrote it."""
    ordered = {k: metadata.get(k, "") for k in ("hash", "training_sha256", "config", "extra")}
    return metadata.get("content_sha256") == _content(tensors, ordered)


def vocabularies_in(tensors: dict[str, torch.Tensor]) -> dict[str, Keys]:
    """The vocabularies that lie beside weights, taken out."""
    return {
        name.removeprefix(_CODEC): tensors.pop(name).numpy().view(np.uint64)
        for name in list(tensors)
        if name.startswith(_CODEC)
    }


def load(path: Path, recipe: Recipe, training: str, hash_: str, sequences: Sequence[Accesses]) -> Kept:
    """The model of that hash, trained on that part with that config.

    Raises:
        InputError: the file is missing, damaged, or holds another model.
    """
    tensors, metadata = read(path, "; delete it to train anew")
    if not is_ours(tensors, metadata):
        raise InputError(f"{path}: is damaged or no model of tierfetch: its checksum differs; delete it to train anew")
    wanted = {
        "hash": hash_,
        "training_sha256": training,
        "config": json.dumps(recipe.shaping(), sort_keys=True),
    }
    for name, value in wanted.items():
        if metadata[name] != value:
            raise InputError(
                f"{path}: holds another model: its {name} is {metadata[name]}, but this run's is {value}; "
                "expected a model that was trained for this run"
            )
    try:
        trained, coverage = _assembled(tensors, json.loads(metadata["extra"]), recipe, sequences)
    except (RuntimeError, KeyError, TypeError, ValueError, AttributeError) as error:
        # Its checksum fits, but who wrote it wrote something else: tensors that are missing, or of other shapes.
        text = " ".join(str(error).split())
        raise InputError(f"{path}: is no model for this config: {text}; delete it to train anew") from None
    return Kept(trained, metadata["hash"], metadata["training_sha256"], coverage, True, path)


def _assembled(
    tensors: dict[str, torch.Tensor], extra: Any, recipe: Recipe, sequences: Sequence[Accesses]
) -> tuple[Trained, float]:
    codec = recipe.restored(vocabularies_in(tensors), split(sequences, recipe.schedule)[0])
    model = recipe.network(codec)
    model.bare.load_state_dict(tensors)
    trained = Trained(
        model.eval(),
        codec,
        [Epoch(**row) for row in extra["epochs"]],
        extra["kept_epoch"],
        {int(h): Calibration(**c) for h, c in extra["calibrations"].items()},
        {int(h): None if s is None else Standing(**s) for h, s in extra["standings"].items()},
        extra["n_restarts"],
    )
    return trained, float(extra["coverage"])
