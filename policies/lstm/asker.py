"""The LSTM on the compiled backend, asked by compiled code: from accesses to keys without Python.

``_learn`` encodes an access and leaves it to its line; ``_want`` runs what a line has not run yet through the network,
and chooses. So a line's state catches up once, when it is asked. The arithmetic is that of ``backends.compiled``, and
the answers are those of ``LstmPolicy`` on that backend, to the bit.
"""

from typing import Any

import numpy as np

from policies import paying
from policies.lstm.backends.compiled import Compiled, run_through, score
from policies.lstm.coding import Coding, decode, encode, write_coding
from policies.lstm.predictor import LstmPredictor
from policies.models.top import best
from policies.paying import Rule, paying_at
from simulator.answers import HEARD, LEARN, WANT, Floats, above
from simulator.arrays import Ints
from simulator.compiled import (
    address_of,
    c_address,
    floats_at,
    floats_matrix,
    internal,
    ints_at,
    ints_matrix,
    singles_matrix,
)
from simulator.policy import Table
from simulator.records.record import Record, from_place, nth, view
from simulator.records.rows import START

_PENDING = 256
"""Accesses of a line that wait to be run through; when there are more, they are, without a question."""


class Line(Record):
    """A sequence: its last key, how many accesses it has yet to run (of a window, how many are in it)."""

    last_key: int
    has_last: int
    n_pending: int
    has_new: int


class Asker(Record):
    """Settings, and the addresses of weights, states and scratch space; behind them the lines.

    ``window`` is 0 where a state is carried. ``states`` are (lines + 1, 2, layers, H), the last one for roll-outs and
    windows; ``pending`` classes (lines, room, fields); ``numbers`` one over the temperature. ``paying`` is the rule of
    what is sure enough.
    """

    coding: Coding
    per_stream: int
    window: int
    room: int
    degree: int
    rolls_out: int
    is_set: int
    n_lines: int
    n_layers: int
    n_hidden: int
    n_inputs: int
    n_scores: int
    first: int
    starts: int
    inner: int
    biases: int
    head: int
    head_bias: int
    states: int
    scores: int
    pending: int
    classes: int
    sure: int
    widths: int
    numbers: int
    paying: int


_asker_at, _nth_line = view(Asker), nth(Line)
_LINES: Any = Asker.words


def table_of(predictor: LstmPredictor, rule: Rule, n_lines: int) -> tuple[Table, list[Any]]:
    """A fresh policy as a table, and the arrays that must live as long as it does."""
    config, backend, codec = predictor.config, predictor.backend, predictor.codec
    assert isinstance(backend, Compiled)
    state = np.zeros(Asker.words + n_lines * Line.words, np.int64)
    it = Asker(state, 0)
    kept: list[Any] = [*write_coding(it.coding, codec, predictor.horizon)]

    def keep(array: Any) -> int:
        kept.append(array)
        return address_of(array)

    n_hidden = backend.biases.shape[1] // 4
    it.per_stream, it.n_lines = config.per_stream, n_lines
    it.window = 0 if config.is_carried else config.window
    it.room = it.window or _PENDING
    it.rolls_out, it.degree = config.expand == "rollout", config.degree
    it.is_set = config.target == "set"
    it.n_layers, it.n_hidden = len(backend.biases), n_hidden
    it.n_inputs, it.n_scores = len(backend.first), len(backend.head_bias)
    it.first, it.starts, it.inner = keep(backend.first), keep(backend.starts), keep(backend.inner)
    it.biases, it.head, it.head_bias = keep(backend.biases), keep(backend.head), keep(backend.head_bias)
    it.states = keep(np.zeros((n_lines + 1, 2, it.n_layers, n_hidden), np.float32))
    it.scores, it.widths = keep(np.zeros(it.n_scores, np.float32)), keep(predictor.widths)
    it.pending = keep(np.zeros((n_lines, it.room, it.coding.n_fields), np.int64))
    it.classes, it.sure = keep(np.zeros((config.degree, it.coding.n_fields), np.int64)), keep(np.zeros(config.degree))
    temperature = predictor.kept.trained.calibrations[predictor.horizon].temperature
    it.numbers = keep(np.array([1 / temperature]))
    it.paying = rule.address
    table = Table(
        state, c_address(LEARN, _learn), c_address(WANT, _want), config.degree, hears=rule.hears, is_learned=True,
        is_timed=True,
    )  # fmt: skip
    return table, kept


@internal
def _pending(it: Asker, line: int, first: int) -> int:
    """The address of the classes of a line's access."""
    return it.pending + 8 * it.coding.n_fields * (line * it.room + first)


@internal
def _run(it: Asker, state: int, classes: int, n: int) -> None:
    """Run ``n`` accesses, whose classes lie at an address, through the network; ``state`` is the number of one."""
    n_numbers = it.n_layers * it.n_hidden
    at = it.states + 4 * 2 * n_numbers * state
    run_through(
        ints_matrix(classes, n, it.coding.n_fields), singles_matrix(at, it.n_layers, it.n_hidden),
        singles_matrix(at + 4 * n_numbers, it.n_layers, it.n_hidden),
        singles_matrix(it.first, it.n_inputs, 4 * it.n_hidden), ints_matrix(it.starts, 1, it.coding.n_fields)[0],
        singles_matrix(it.inner, 2 * it.n_layers * it.n_hidden, 4 * it.n_hidden),
        singles_matrix(it.biases, it.n_layers, 4 * it.n_hidden),
    )  # fmt: skip


@internal
def _choose(it: Asker, state: int, k: int) -> int:
    """The best ``k`` classes by a state, into ``classes`` and ``sure``; how many there are."""
    scores, n_meant = singles_matrix(it.scores, 1, it.n_scores)[0], it.coding.n_meant
    at = it.states + 4 * 2 * it.n_layers * it.n_hidden * state
    score(
        singles_matrix(at, it.n_layers, it.n_hidden), singles_matrix(it.head, it.n_hidden, it.n_scores),
        singles_matrix(it.head_bias, 1, it.n_scores)[0], scores,
    )  # fmt: skip
    return int(
        best(
            scores, ints_matrix(it.widths, 1, n_meant)[0], floats_at(it.numbers)[0], it.is_set != 0,
            ints_matrix(it.classes, k, n_meant), floats_matrix(it.sure, 1, k)[0],
        )
    )  # fmt: skip


@internal
def _copy(it: Asker, state: int, to: int) -> None:
    n = 2 * it.n_layers * it.n_hidden
    states = singles_matrix(it.states, it.n_lines + 1, n)
    for i in range(n):
        states[to, i] = states[state, i]


@internal
def _clear(it: Asker, state: int) -> None:
    n = 2 * it.n_layers * it.n_hidden
    states = singles_matrix(it.states, it.n_lines + 1, n)
    for i in range(n):
        states[state, i] = 0


def _learn(state: Ints, key: int, stream: int, outcome: int) -> None:
    """An access, whatever came of it; or news, if the rule hears."""
    it = _asker_at(state, START)
    if outcome <= HEARD:
        paying.hear(paying_at(ints_at(it.paying), START), key, outcome)
        return
    at = stream if it.per_stream else 0
    line, n_fields = _nth_line(state, _LINES, at), it.coding.n_fields
    if line.n_pending == it.room:
        if it.window:
            classes = ints_at(_pending(it, at, 0))
            for i in range((it.room - 1) * n_fields):
                classes[i] = classes[i + n_fields]
            line.n_pending -= 1
        else:
            _run(it, at, _pending(it, at, 0), line.n_pending)
            line.n_pending = 0
    encode(it.coding, key, line.last_key, line.has_last == 0, ints_at(_pending(it, at, line.n_pending)))
    line.n_pending += 1
    line.last_key, line.has_last, line.has_new = key, 1, 1


@internal
def _key_of(it: Asker, last_key: int, i: int, key: Ints) -> bool:
    """Write the key of one of the classes that were chosen; False if they mean none."""
    classes, n_meant = ints_at(it.classes), it.coding.n_meant
    return decode(it.coding, last_key, classes[i * n_meant], classes[i * n_meant + n_meant - 1], key)


@internal
def _roll_out(it: Asker, last_key: int, keys: Ints, confidences: Floats) -> int:
    """The most likely next access, what would follow it, and so on; how many. From the scratch state, which goes on."""
    n, scratch, sure = 0, it.n_lines, 1.0
    classes = ints_at(it.classes)
    while n < it.degree:
        if _choose(it, scratch, 1) == 0 or not _key_of(it, last_key, 0, from_place(keys, n)):
            break
        sure *= floats_at(it.sure)[0]
        confidences[n] = sure
        n += 1
        if n < it.degree:
            encode(it.coding, keys[n - 1], last_key, False, classes)
            _run(it, scratch, it.classes, 1)
        last_key = keys[n - 1]
    return n


def _want(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """What follows the accesses of a line, as ``NetworkPolicy``; nothing if they were asked about before."""
    it = _asker_at(state, START)
    at = stream if it.per_stream else 0
    line = _nth_line(state, _LINES, at)
    if not line.has_new:
        return 0
    line.has_new = 0
    of = at
    if it.window:
        of = it.n_lines
        _clear(it, of)
    _run(it, of, _pending(it, at, 0), line.n_pending)
    if not it.window:
        line.n_pending = 0
    n = 0
    if it.rolls_out:
        _copy(it, of, it.n_lines)
        n = _roll_out(it, line.last_key, keys, confidences)
    else:
        sure = floats_at(it.sure)
        for i in range(_choose(it, of, it.degree)):
            if _key_of(it, line.last_key, i, from_place(keys, n)):
                confidences[n] = sure[i]
                n += 1
    return above(keys, confidences, n, paying.least(paying_at(ints_at(it.paying), START)))
