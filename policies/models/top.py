"""From scores to the best known classes and their calibrated probabilities, compiled."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from policies.models.codecs.base import Classes, Floats
from policies.models.exps import exps
from simulator.compiled import vectorised

_LANES = 16


@vectorised
def _highest(scores: Floats) -> float:
    """Of (C,). Lane by lane, which becomes vector instructions; the largest of one row after another would not."""
    n = len(scores)
    lanes = np.empty(_LANES, np.float32)
    lanes[:] = scores[0]
    whole = n - n % _LANES
    for i in range(0, whole, _LANES):
        for j in range(_LANES):
            lanes[j] = scores[i + j] if scores[i + j] > lanes[j] else lanes[j]
    highest = lanes[0]
    for j in range(1, _LANES):
        highest = max(highest, lanes[j])
    for i in range(whole, n):
        highest = max(highest, scores[i])
    return highest


@vectorised
def _sum_of_exps(scores: Floats, highest: float, inverse_temperature: float) -> float:
    """The sum over (C,) of exp((score - highest) / temperature), to about 2e-7; no number if a score is none."""
    n, scale = len(scores), np.float32(inverse_temperature)
    found, powers = np.empty(n, np.float32), np.empty(n, np.int32)
    for i in range(n):
        found[i] = (scores[i] - highest) * scale
    exps(found, powers)
    whole = n - n % _LANES
    lanes = np.zeros(_LANES)
    for i in range(0, whole, _LANES):
        for j in range(_LANES):
            lanes[j] += found[i + j]
    total = 0.0
    for j in range(_LANES):
        total += lanes[j]
    for i in range(whole, n):
        total += found[i]
    return total


@vectorised
def _sum(scores: Floats) -> float:
    """No number if a score is none."""
    total = 0.0
    for i in range(len(scores)):
        total += scores[i]
    return total


@vectorised
def _field(
    scores: Floats, inverse_temperature: float, is_set: bool, classes: Classes, confidences: npt.NDArray[np.float64],
    k: int,
) -> int:  # fmt: skip
    """Up to ``k`` best classes but class 0 of one field (C,), and how many there are.

    With their softmax probabilities, or as a set with a sigmoid each.
    """
    n = len(scores)
    k = min(k, n - 1)
    if k < 1:
        return 0
    most = _highest(scores[1:])
    highest = max(most, scores[0])
    # Of a set the sum says whether all are numbers, and nothing else.
    total = _sum(scores) if is_set else _sum_of_exps(scores, highest, inverse_temperature)
    for place in range(k):
        best = -1
        if place == 0:
            # Among equals the smaller class comes first.
            best = 1
            while best < n - 1 and scores[best] != most:
                best += 1
        for i in range(1, n if place > 0 else 0):
            # Ranked by (score, class).
            last = classes[place - 1]
            if scores[i] > scores[last] or (scores[i] == scores[last] and i <= last):
                continue
            if best < 0 or scores[i] > scores[best]:
                best = i
        if best < 0:
            return place
        classes[place] = best
        if is_set:
            confidences[place] = 1 / (1 + math.exp(-scores[best] * inverse_temperature)) if total == total else total
        else:
            confidences[place] = math.exp((scores[best] - highest) * inverse_temperature) / total
    return k


@vectorised
def joined(
    first_classes: Classes, first: npt.NDArray[np.float64], n_first: int, second_classes: Classes,
    second: npt.NDArray[np.float64], n_second: int, classes: Classes, confidences: npt.NDArray[np.float64],
) -> int:  # fmt: skip
    """``best`` from the best of two fields."""
    k = len(classes)
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


@vectorised
def best(
    scores: Floats, widths: Classes, inverse_temperature: float, is_set: bool, classes: Classes,
    confidences: npt.NDArray[np.float64],
) -> int:  # fmt: skip
    """The best predictions that have no unknown in them: scores (C,), one or two fields of ``widths`` classes each.

    Fills ``classes`` (k, fields) and ``confidences`` (k,), best first, and returns how many there are. With two fields
    a confidence is the product of theirs. ``is_set``: of one field, each class is right or not by itself.
    """
    k = len(classes)
    if len(widths) == 1:
        return _field(scores, inverse_temperature, is_set, classes.reshape(-1), confidences, k)
    first_classes, first = np.empty(k, np.int64), np.empty(k, np.float64)
    second_classes, second = np.empty(k, np.int64), np.empty(k, np.float64)
    n_first = _field(scores[: widths[0]], inverse_temperature, False, first_classes, first, k)
    n_second = _field(scores[widths[0] :], inverse_temperature, False, second_classes, second, k)
    return joined(first_classes, first, n_first, second_classes, second, n_second, classes, confidences)


@vectorised
def best_of_rows(
    scores: Floats,
    widths: Classes,
    inverse_temperature: float,
    is_set: bool,
    classes: npt.NDArray[np.int32],
    confidences: npt.NDArray[np.float64],
    counts: Classes,
) -> None:
    """``best`` of every row: scores (n, C), classes (n, k, fields), confidences (n, k), counts (n,)."""
    row_classes = np.empty(classes.shape[1:], np.int64)
    for row in range(len(scores)):
        counts[row] = best(scores[row], widths, inverse_temperature, is_set, row_classes, confidences[row])
        classes[row] = row_classes


Chosen = tuple[Classes, npt.NDArray[np.float64]]
"""Classes (n, fields) and their confidences (n,), best first."""


class Choosing(NamedTuple):
    """What is wanted of scores: the best ``wanted`` known classes, of fields of ``widths`` classes each."""

    widths: Classes
    inverse_temperature: float
    wanted: int
    is_set: bool = False
    """Whether each class is right or not by itself; else one of them is."""

    def of(self, scores: Floats) -> Chosen:
        """From scores (C,)."""
        classes, confidences = self._room()
        n = best(scores, self.widths, self.inverse_temperature, self.is_set, classes, confidences)
        return classes[:n], confidences[:n]

    def of_fields(self, classes: Classes, confidences: npt.NDArray[np.float64]) -> Chosen:
        """Copies of the best of each field (fields, as many as are wanted or more), no more than are known classes."""
        counts = [min(width - 1, self.wanted) for width in self.widths.tolist()]
        if len(counts) == 1:
            return classes[0, : counts[0], None].astype(np.int64), confidences[0, : counts[0]].astype(np.float64)
        chosen, sure = self._room()
        of_fields, its_sure = classes.astype(np.int64), confidences.astype(np.float64)
        n = joined(of_fields[0], its_sure[0], counts[0], of_fields[1], its_sure[1], counts[1], chosen, sure)
        return chosen[:n], sure[:n]

    def _room(self) -> Chosen:
        return np.empty((self.wanted, len(self.widths)), np.int64), np.empty(self.wanted, np.float64)
