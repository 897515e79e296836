"""Trained models on disk: safetensors, under a hash of everything that shaped the weights."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from platformdirs import user_cache_path
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from policies.lstm.codecs.base import Codec, Keys
from policies.lstm.codecs.registry import CODECS
from policies.lstm.config import LstmConfig
from policies.lstm.model import LstmModel
from simulator.errors import InputError


def models_folder() -> Path:
    """Where models are kept: TIERFETCH_MODELS, else the user's cache folder."""
    return Path(os.environ.get("TIERFETCH_MODELS") or user_cache_path("tierfetch") / "models")


def model_hash(config: LstmConfig, sequences: list[Keys], seed: int, device: torch.device) -> str:
    """A hash of config, training keys, seed, code, torch version and kind of device."""
    digest = hashlib.sha256(json.dumps(config.shaping(), sort_keys=True).encode())
    digest.update(f"{seed} {torch.__version__} {device.type}".encode())
    here = Path(__file__).parent
    for name in ("model.py", "train.py", "codecs/base.py", f"codecs/{config.encoding}.py"):
        digest.update((here / name).read_bytes())
    for keys in sequences:
        digest.update(len(keys).to_bytes(8, "little"))
        digest.update(np.ascontiguousarray(keys).tobytes())
    return digest.hexdigest()[:24]


def save(path: Path, model: LstmModel, codec: Codec, config: LstmConfig, hash_: str, extra: dict[str, Any]) -> None:
    """Write aside, then rename: a crash leaves no half model."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: weight.cpu().contiguous() for name, weight in model.state_dict().items()}
    tensors["codec.vocabulary"] = torch.from_numpy(codec.vocabulary.view(np.int64).copy())
    metadata = {
        "hash": hash_,
        "config": json.dumps(config.shaping(), sort_keys=True),
        "extra": json.dumps(extra),
    }
    aside = path.with_suffix(f".{os.getpid()}.part")
    save_file(tensors, aside, metadata=metadata)
    aside.replace(path)


def load(path: Path, config: LstmConfig, hash_: str | None) -> tuple[LstmModel, Codec, dict[str, Any]]:
    """A model, its codec and what was kept with them.

    Raises:
        InputError: the file is missing, damaged, or holds another model than ``hash_`` or ``config`` say.
    """
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected a trained model") from None
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: is damaged or no model: {error}; delete it to train anew") from None
    shaped = json.dumps(config.shaping(), sort_keys=True)
    if metadata.get("config") != shaped or (hash_ is not None and metadata.get("hash") != hash_):
        raise InputError(f"{path}: holds another model than this run's; delete it to train anew")
    vocabulary = tensors.pop("codec.vocabulary").numpy().view(np.uint64)
    codec = CODECS[config.encoding](vocabulary)
    model = LstmModel(codec.n_classes, config)
    model.load_state_dict(tensors)
    return model.eval(), codec, json.loads(metadata.get("extra", "{}"))
