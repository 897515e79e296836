"""From scores to the best known classes and their calibrated probabilities, compiled."""

import math

import numpy as np
import numpy.typing as npt

from policies.models.codecs.base import Classes, Floats
from simulator.compiled import compiled


@compiled
def _field(scores: Floats, inverse_temperature: float, classes: Classes, confidences: npt.NDArray[np.float64]) -> int:
    """The best classes but class 0 of one field (C,), with their softmax probabilities; how many there are."""
    n, k = len(scores), min(len(classes), len(scores) - 1)
    highest = scores[0]
    for i in range(1, n):
        highest = max(highest, scores[i])
    total = 0.0
    for i in range(n):
        total += math.exp((scores[i] - highest) * inverse_temperature)
    for place in range(k):
        best = -1
        for i in range(1, n):
            # Ranked by (score, class): among equals the smaller class comes first.
            if place > 0:
                last = classes[place - 1]
                if scores[i] > scores[last] or (scores[i] == scores[last] and i <= last):
                    continue
            if best < 0 or scores[i] > scores[best]:
                best = i
        classes[place] = best
        confidences[place] = math.exp((scores[best] - highest) * inverse_temperature) / total
    return k


@compiled
def best(
    scores: Floats, widths: Classes, inverse_temperature: float, classes: Classes, confidences: npt.NDArray[np.float64]
) -> int:
    """The best predictions that have no unknown in them: scores (C,), one or two fields of ``widths`` classes each.

    Fills ``classes`` (k, fields) and ``confidences`` (k,), best first, and returns how many there are. With two fields
    a confidence is the product of theirs.
    """
    k = len(classes)
    first_classes, first = np.empty(k, np.int64), np.empty(k, np.float64)
    n_first = _field(scores[: widths[0]], inverse_temperature, first_classes, first)
    if len(widths) == 1:
        for i in range(n_first):
            classes[i, 0] = first_classes[i]
            confidences[i] = first[i]
        return n_first
    second_classes, second = np.empty(k, np.int64), np.empty(k, np.float64)
    n_second = _field(scores[widths[0] :], inverse_temperature, second_classes, second)
    # Products fall along rows and columns: each row has a place that it has come to.
    place = np.zeros(k, np.int64)
    n = min(k, n_first * n_second)
    for found in range(n):
        row = -1
        for i in range(n_first):
            if place[i] < n_second and (row < 0 or first[i] * second[place[i]] > first[row] * second[place[row]]):
                row = i
        classes[found, 0] = first_classes[row]
        classes[found, 1] = second_classes[place[row]]
        confidences[found] = first[row] * second[place[row]]
        place[row] += 1
    return n


@compiled
def best_of_rows(
    scores: Floats,
    widths: Classes,
    inverse_temperature: float,
    classes: npt.NDArray[np.int32],
    confidences: npt.NDArray[np.float64],
    counts: Classes,
) -> None:
    """``best`` of every row: scores (n, C), classes (n, k, fields), confidences (n, k), counts (n,)."""
    row_classes = np.empty(classes.shape[1:], np.int64)
    for row in range(len(scores)):
        counts[row] = best(scores[row], widths, inverse_temperature, row_classes, confidences[row])
        classes[row] = row_classes
