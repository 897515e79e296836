"""The predictor alone: keys in, the keys to come and a confidence each out."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from policies.given import Accesses
from policies.lstm.backends.base import Backend
from policies.lstm.backends.registry import pick
from policies.lstm.codecs.base import Classes, Keys
from policies.lstm.config import LstmConfig
from policies.lstm.context import Carried, Context, Taken, Window
from policies.lstm.lanes import accesses_of
from policies.lstm.model import Floats, device_name, pick_device, weights_of
from policies.lstm.store import Kept, obtain
from policies.lstm.top import best
from policies.lstm.train import Progress, known

Found = list[tuple[int, float]]
"""Keys and confidences, most wanted first."""
Question = tuple[Taken, int]
"""What is to be run, and the key that it ends with."""
_WARM_UP_CALLS = 50


class Line:
    """One sequence of accesses that predictions follow: its context and its last key."""

    __slots__ = ("context", "last_key")

    def __init__(self, context: Context) -> None:
        self.context = context
        self.last_key: int | None = None

    def ask(self) -> Question:
        """What follows the accesses so far?"""
        assert self.last_key is not None
        return self.context.take(), self.last_key


class LstmPredictor:
    """A trained model at one horizon, on one backend.

    ``trial_ns`` has the median times of the backends that were tried, ``warm_up`` host and device time of the first
    calls, in ns.
    """

    def __init__(
        self, kept: Kept, config: LstmConfig, backend: Backend, horizon: int, trial_ns: dict[str, float] | None = None
    ) -> None:
        self.kept = kept
        self.config = config
        self.codec = kept.trained.codec
        self.backend = backend
        self.horizon = horizon
        self.trial_ns = trial_ns or {}
        self.widths = np.array(self.codec.n_outputs(horizon), np.int64)
        self.inverse_temperature = 1 / kept.trained.calibrations[horizon].temperature
        self._classes = np.empty((config.degree, len(self.widths)), np.int64)
        self._confidences = np.empty(config.degree, np.float64)
        self._device_ns = 0
        self.warm_up = self._warm_up()

    @classmethod
    def trained(
        cls,
        sequences: Sequence[Keys | Accesses],
        config: LstmConfig,
        seed: int = 0,
        progress: Progress | None = None,
        horizon: int | None = None,
    ) -> "LstmPredictor":
        """Train on sequences (one a stream; bare keys are reads), or load the model if it was trained before.

        ``horizon`` is how many accesses ahead it predicts, by default the nearest that the config names.

        Raises:
            InputError: CUDA was asked for and is not there, the kept model is damaged, or there is nothing to train on.
        """
        device = pick_device(config.wanted_device)
        kept = obtain([accesses_of(sequence) for sequence in sequences], config, seed, device, progress)
        horizon = config.horizons[0] if horizon is None else horizon
        weights = weights_of(kept.trained.model, horizon)
        backend, trial_ns = pick(config.backend, device.type, weights, config.steps)
        return cls(kept, config, backend, horizon, trial_ns)

    def _warm_up(self) -> list[tuple[int, int]]:
        """The first calls, whose times mean nothing for the later ones."""
        line, times = self.line(), []
        # Windows are full from the first call on, as they soon are in a run.
        self.see(line, np.arange(self.config.steps, dtype=np.uint64))
        for i in range(_WARM_UP_CALLS):
            start = time.perf_counter_ns()
            self.see(line, np.full(1, i, np.uint64))
            self.answer([line.ask()])
            times.append((time.perf_counter_ns() - start, self.take_device_ns()))
        return times

    def line(self) -> Line:
        """A sequence that has no accesses yet."""
        window = self.config.window
        return Line(Carried(self.backend) if self.config.inference == "stateful" else Window(self.backend, window))

    def see(self, line: Line, keys: Keys) -> None:
        """Accesses (n,) of a line, in order."""
        line.context.see(self.codec.encode(keys, line.last_key))
        line.last_key = int(keys[-1])

    def _advance(self, classes: Classes, states: Sequence[Any]) -> Floats:
        scores = self.backend.advance(classes, states)
        self._device_ns += self.backend.last_device_ns()
        return scores

    def take_device_ns(self) -> int:
        """What the device took since this was last asked."""
        taken, self._device_ns = self._device_ns, 0
        return taken

    def answer(self, questions: Sequence[Question]) -> list[Found]:
        """Up to ``degree`` predictions for each question; no two from one carried state. One call where it can be."""
        first = questions[0][0].classes
        if all(len(taken.classes) == len(first) for taken, _ in questions):
            classes = first[None] if len(questions) == 1 else np.stack([taken.classes for taken, _ in questions])
            scores = self._advance(classes, [taken.state for taken, _ in questions])
        else:
            scores = np.concatenate(
                [self._advance(taken.classes[None], [taken.state]) for taken, _ in questions]
            )  # fmt: skip
        pick = self._rolled_out if self.config.expand == "rollout" else self._best
        return [pick(taken, last_key, scores[i]) for i, (taken, last_key) in enumerate(questions)]

    def _best(self, taken: Taken, last_key: int, scores: Floats) -> Found:
        n = best(scores, self.widths, self.inverse_temperature, self._classes, self._confidences)
        return self.decoded(last_key, self._classes[:n], self._confidences[:n])

    def decoded(self, last_key: int, classes: Classes, confidences: Any) -> Found:
        """Keys of predicted classes (n, fields); those outside the key space are left out."""
        found = []
        for row, confidence in zip(classes.tolist(), confidences.tolist(), strict=True):
            key = self.codec.decode(last_key, row, self.horizon)
            if key is not None:
                found.append((key, confidence))
        return found

    def _rolled_out(self, taken: Taken, last_key: int, scores: Floats) -> Found:
        """The most likely next access, what would follow it, and so on; the confidence is that of the whole path."""
        path = Line(taken.after.branch())
        path.last_key = last_key
        found: Found = []
        confidence = 1.0
        classes, confidences = self._classes[:1], self._confidences[:1]
        while True:
            n = best(scores, self.widths, self.inverse_temperature, classes, confidences)
            key = self.codec.decode(path.last_key, classes[0].tolist(), self.horizon) if n else None
            if key is None:
                return found
            confidence *= float(confidences[0])
            found.append((key, confidence))
            if len(found) == self.config.degree:
                return found
            self.see(path, np.array([key], np.uint64))
            step = path.context.take()
            scores = self._advance(step.classes[None], [step.state])[0]

    def predict_next_key(self, sequence: Sequence[int]) -> tuple[int, float]:
        """The most likely key ``horizon`` accesses after the end of a sequence of keys, and its probability.

        Raises:
            ValueError: the sequence is empty, or nothing but the unknown can follow.
        """
        if not len(sequence):
            raise ValueError("predict_next_key: expected at least one key")
        line = self.line()
        self.see(line, np.asarray(sequence, np.uint64))
        found = self.answer([line.ask()])[0]
        if not found:
            raise ValueError("predict_next_key: nothing in the vocabulary can follow")
        return found[0]

    def details(self) -> dict[str, Any]:
        """What the tables say about the model and where it runs."""
        trained = self.kept.trained
        calibration = trained.calibrations[self.horizon]
        kept_row = trained.epochs[trained.kept_epoch - 1]
        tried = sorted(self.trial_ns.items(), key=lambda item: item[1])
        details = {
            "model_hash": self.kept.hash,
            "device": device_name(self.backend.device),
            "backend": self.backend.name,
            "backend_trial": ", ".join(f"{name} {ns / 1000:.1f} us" for name, ns in tried) or None,
            "horizon": self.horizon,
            "n_classes": int(self.widths.sum()),
            "vocabulary_coverage_ratio": self.kept.coverage,
            "validation_top1_ratio": kept_row.validation_top1_ratio,
            "temperature": calibration.temperature,
            "ece_before_ratio": calibration.ece_before_ratio,
            "ece_after_ratio": calibration.ece_after_ratio,
            "model_was_cached": self.kept.was_cached,
            "train_s": sum(row.train_s for row in trained.epochs),
        }
        return known(details)
