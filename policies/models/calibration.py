"""Confidences that mean what they say: one temperature a horizon, fitted to the validation part (Guo et al. 2017)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

from policies.models.codecs.base import IGNORE, UNKNOWN, Classes

Scores = npt.NDArray[np.float32]
_BINS = 15
# A validation part without a single error would have scores sharpened without end.
LOG_RANGE = (float(np.log(0.5)), float(np.log(20.0)))


@dataclass(frozen=True)
class Calibration:
    """The temperature that scores are divided by, and the expected calibration error without and with it."""

    temperature: float = 1.0
    ece_before_ratio: float = float("nan")
    ece_after_ratio: float = float("nan")


def calibrate(fields: list[Scores], targets: Classes) -> Calibration:
    """Fit a temperature: ``fields`` has the scores (n, C) of each field, ``targets`` is (n, fields).

    Positions without a target are left out; with fewer than 50 others nothing is fitted.
    """
    kept = (targets != IGNORE).all(axis=1)
    targets = targets[kept]
    if len(targets) < 50:
        return Calibration()
    # Below the best score by so much: no exponential overflows. In single precision, as the exponentials of all scores
    # at two dozen temperatures took longer than an epoch of training.
    fields = [(s - s.max(axis=1, keepdims=True)).astype(np.float32) for s in (scores[kept] for scores in fields)]
    at = np.arange(len(targets))
    wanted = float(sum(s[at, targets[:, i]].mean(dtype=np.float64) for i, s in enumerate(fields)))

    def loss(log_temperature: float) -> float:
        scale = np.float32(np.exp(-log_temperature))
        logs = [np.log(np.exp(s * scale).sum(axis=1)).mean(dtype=np.float64) for s in fields]
        return float(np.sum(logs)) - float(scale) * wanted

    temperature = float(np.exp(minimize_scalar(loss, bounds=LOG_RANGE, method="bounded", options={"xatol": 1e-4}).x))
    return Calibration(temperature, _ece(fields, targets, 1.0), _ece(fields, targets, temperature))


def _ece(fields: list[Scores], targets: Classes, temperature: float) -> float:
    """Expected calibration error of the best known block's confidence, in bins of equal width; best scores are 0."""
    confidence = np.ones(len(targets))
    right = np.ones(len(targets), bool)
    for i, scores in enumerate(fields):
        probabilities = np.exp(scores / np.float32(temperature))
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        probabilities[:, UNKNOWN] = -1
        best = probabilities.argmax(axis=1)
        confidence *= np.maximum(probabilities[np.arange(len(best)), best], 0)
        right &= best == targets[:, i]
    return ece_of(confidence, right)


def ece_of(confidence: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]) -> float:
    """How far confidences (n,) are from what came true (n,), in bins of equal width."""
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    counts = np.bincount(bins, minlength=_BINS)
    gaps = np.bincount(bins, right - confidence, _BINS)
    return float(np.abs(gaps).sum() / counts.sum())
