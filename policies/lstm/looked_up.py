"""Predictions that were made beforehand, as a table that compiled code reads: what follows each access of each line."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from policies import paying
from policies.lstm.batched import Table as Predictions
from policies.lstm.coding import Coding, decode, write_coding
from policies.lstm.predictor import LstmPredictor
from policies.models.codecs.base import Keys
from policies.paying import Rule, paying_at
from simulator.answers import HEARD, LEARN, WANT, Floats, above
from simulator.arrays import Ints
from simulator.compiled import address_of, c_address, compiled, floats_at, ints_at
from simulator.policy import Table
from simulator.records.record import Record, nth, view
from simulator.records.rows import START


class LookedUp(Record):
    """Addresses of all lines' predictions, one behind the other: keys and confidences (n, degree), counts (n,).

    ``paying`` is the address of the rule of what is sure enough.
    """

    per_stream: int
    degree: int
    keys: int
    sure: int
    counts: int
    paying: int


class Line(Record):
    """A line: where its predictions begin, how many of its accesses were shown, and how many when it was asked."""

    first: int
    n_seen: int
    n_asked: int


_looked_up_at, _nth_line, _coding_at = view(LookedUp), nth(Line), view(Coding)
_LINES: Any = LookedUp.words


@compiled
def _decode_all(
    coding: int, keys: Ints, classes: npt.NDArray[np.int32], confidences: npt.NDArray[np.float64], counts: Ints,
    found: Ints, sure: npt.NDArray[np.float64], n_found: Ints, one: int,
) -> None:  # fmt: skip
    """What classes (n, degree, fields) mean after keys (n,): those that mean a key, best first.

    ``coding`` and ``one``, for one key, are addresses.
    """
    it = _coding_at(ints_at(coding), START)
    key = ints_at(one)
    last = classes.shape[2] - 1
    for i in range(len(keys)):
        n = 0
        for j in range(counts[i]):
            if decode(it, keys[i], classes[i, j, 0], classes[i, j, last], key):
                found[i, n], sure[i, n] = key[0], confidences[i, j]
                n += 1
        n_found[i] = n


def _learn(state: Ints, key: int, stream: int, outcome: int) -> None:
    """An access has come; or news, if the rule hears."""
    if outcome <= HEARD:
        paying.hear(paying_at(ints_at(_looked_up_at(state, START).paying), START), key, outcome)
        return
    line = _nth_line(state, _LINES, stream if _looked_up_at(state, START).per_stream else 0)
    line.n_seen += 1


def _want(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """What was predicted when the line's last access was the last one; nothing if that was asked before."""
    it = _looked_up_at(state, START)
    line = _nth_line(state, _LINES, stream if it.per_stream else 0)
    if line.n_asked == line.n_seen:
        return 0
    line.n_asked = line.n_seen
    at = line.first + line.n_seen - 1
    predicted, sure = ints_at(it.keys), floats_at(it.sure)
    n = ints_at(it.counts)[at]
    for i in range(n):
        keys[i], confidences[i] = predicted[at * it.degree + i], sure[at * it.degree + i]
    return above(keys, confidences, n, paying.least(paying_at(ints_at(it.paying), START)))


def table_of(
    predictions: Mapping[int, Predictions], sequences: Mapping[int, Keys], predictor: LstmPredictor, rule: Rule,
    n_lines: int,
) -> tuple[Table, list[Any]]:  # fmt: skip
    """The policy, and the arrays that must live as long as it does. ``sequences`` are what was predicted along."""
    state = np.zeros(LookedUp.words + n_lines * Line.words, np.int64)
    coding: Ints = np.zeros(Coding.words, np.int64)
    one: Ints = np.zeros(1, np.int64)
    values = write_coding(Coding(coding, 0), predictor.codec, predictor.horizon)
    degree, n = predictor.config.degree, sum(len(keys) for keys in sequences.values())
    found, sure, counts = np.zeros((n, degree), np.int64), np.zeros((n, degree)), np.zeros(n, np.int64)
    at = 0
    for name, keys in sequences.items():
        line, rows = Line(state, LookedUp.words + name * Line.words), slice(at, at + len(keys))
        line.first = at
        made = predictions[name]
        _decode_all(
            address_of(coding), np.ascontiguousarray(keys).view(np.int64), made.classes, made.confidences, made.counts,
            found[rows], sure[rows], counts[rows], address_of(one),
        )  # fmt: skip
        at += len(keys)
    it = LookedUp(state, 0)
    it.per_stream, it.degree = predictor.config.per_stream, degree
    it.keys, it.sure, it.counts = (address_of(array) for array in (found, sure, counts))
    it.paying = rule.address
    table = Table(
        state, c_address(LEARN, _learn), c_address(WANT, _want), degree, hears=rule.hears, is_learned=True
    )  # fmt: skip
    return table, [found, sure, counts, *values]
