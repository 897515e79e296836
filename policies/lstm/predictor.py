"""The predictor alone: keys in, the next key and a confidence out."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from policies.lstm import store
from policies.lstm.codecs.base import UNKNOWN, Codec, Keys
from policies.lstm.codecs.registry import CODECS
from policies.lstm.config import LstmConfig
from policies.lstm.model import LstmModel, device_name, pick_device
from policies.lstm.train import Epoch, Progress, train
from simulator.errors import InputError

_WARM_UP_CALLS = 20


@dataclass(frozen=True, slots=True)
class Prediction:
    """For each window the best classes and their probabilities, both (B, k), and what computing them took."""

    classes: npt.NDArray[np.int64]
    confidences: npt.NDArray[np.float32]
    host_ns: int
    device_ns: int


@dataclass
class LstmPredictor:
    """A trained model with its codec, on a device."""

    model: LstmModel
    codec: Codec
    config: LstmConfig
    device: torch.device
    hash: str
    epochs: list[Epoch] = field(default_factory=list)
    was_cached: bool = False
    vocabulary_coverage: float = float("nan")

    def __post_init__(self) -> None:
        """Move to the device and run the first calls, whose times mean nothing."""
        self.model.to(self.device).eval()
        if self.device.type == "cpu":
            # One small window at a time: a second thread costs more than it gives.
            torch.set_num_threads(1)
        self.model.lstm.flatten_parameters()
        window = np.zeros((1, self.config.window), np.int64)
        for _ in range(_WARM_UP_CALLS):
            self.predict(window)

    @classmethod
    def trained(
        cls, sequences: list[Keys], config: LstmConfig, seed: int = 0, progress: Progress | None = None
    ) -> "LstmPredictor":
        """Train on sequences of keys (one a stream), or load the model if just this one was trained before.

        Raises:
            InputError: CUDA was asked for and is not there, the kept model is damaged, or there is nothing to train on.
        """
        device = pick_device(config.device)
        if not any(len(keys) > 2 for keys in sequences):
            raise InputError("policy lstm: the training part has fewer than 3 accesses; expected a larger one")
        hash_ = store.model_hash(config, sequences, seed, device)
        path = store.models_folder() / f"lstm-{hash_}.safetensors"
        if path.exists():
            model, codec, extra = store.load(path, config, hash_)
            epochs = [Epoch(**row) for row in extra["epochs"]]
            return cls(model, codec, config, device, hash_, epochs, True, extra["coverage"])
        codec = CODECS[config.encoding].learn(sequences, config.vocabulary)
        coverage = codec.coverage(sequences)
        model, epochs = train(sequences, codec, config, seed, device, progress)
        extra = {"epochs": [asdict(row) for row in epochs], "coverage": coverage}
        store.save(path, model, codec, config, hash_, extra)
        return cls(model, codec, config, device, hash_, epochs, False, coverage)

    @property
    def device_name(self) -> str:
        """The device for the tables."""
        return device_name(self.device)

    def window(self, keys: Keys) -> npt.NDArray[np.int64]:
        """The (window,) last classes of a history of keys; a short one is padded in front with its first class."""
        recent = keys[-(self.config.window + self.codec.history_keys) :]
        classes = self.codec.encode(recent) if len(recent) > self.codec.history_keys else np.zeros(1, np.int64)
        return np.pad(classes, (self.config.window - len(classes), 0), mode="edge")

    def predict(self, windows: npt.NDArray[np.int64], k: int = 1) -> Prediction:
        """A real forward pass over (B, window) classes, timed from copy-in to copy-out (rule R15)."""
        # One place more than asked for, so that the unknown does not use up a place.
        k = min(k + 1, self.codec.n_classes)
        is_cuda = self.device.type == "cuda"
        begun = torch.cuda.Event(enable_timing=True) if is_cuda else None  # type: ignore[no-untyped-call]
        ended = torch.cuda.Event(enable_timing=True) if is_cuda else None  # type: ignore[no-untyped-call]
        start = time.perf_counter_ns()
        with torch.inference_mode():
            if begun is not None:
                begun.record()
            scores = self.model.last(torch.from_numpy(windows).to(self.device))  # (B, C)
            best = torch.topk(torch.softmax(scores, dim=-1), k)
            classes, confidences = best.indices.cpu(), best.values.cpu()
            if ended is not None:
                ended.record()
                torch.cuda.synchronize(self.device)
        host_ns = time.perf_counter_ns() - start
        device_ns = round(begun.elapsed_time(ended) * 1e6) if begun is not None and ended is not None else 0
        return Prediction(classes.numpy(), confidences.numpy(), host_ns, device_ns)

    def candidates(self, last_key: int, prediction: Prediction, row: int, k: int) -> list[tuple[int, float]]:
        """Up to ``k`` (key, confidence) of one window, best first; the unknown means none."""
        found = []
        for class_, confidence in zip(prediction.classes[row], prediction.confidences[row], strict=True):
            key = self.codec.decode(last_key, int(class_)) if class_ != UNKNOWN else None
            if key is not None:
                found.append((key, float(confidence)))
        return found[:k]

    def predict_next_key(self, sequence: Sequence[int]) -> tuple[int, float]:
        """The most likely next key after a sequence of keys, and its probability.

        Raises:
            ValueError: the sequence is empty, or nothing but the unknown can follow.
        """
        if not len(sequence):
            raise ValueError("predict_next_key: expected at least one key")
        keys = np.asarray(sequence, np.uint64)
        best = self.candidates(int(keys[-1]), self.predict(self.window(keys)[None, :]), 0, 1)
        if not best:
            raise ValueError("predict_next_key: the vocabulary is empty")
        return best[0]

    def details(self) -> dict[str, Any]:
        """What the tables say about the model."""
        return {
            "model_hash": self.hash,
            "device": self.device_name,
            "n_classes": self.codec.n_classes,
            "vocabulary_coverage_ratio": self.vocabulary_coverage,
            "model_was_cached": self.was_cached,
            "train_s": sum(row.train_s for row in self.epochs),
        }
