"""The rules of the hybrid, compiled: what its experts name is watched, and wanted where its precision pays.

All experts are asked together (``learn``, ``want``, and ``want_with_guess`` where one is learned); or those of tables
within an access (``*_at_once``), and those that are learned when a question is answered (``*_later``), which may be
many accesses on. Each access is settled once, within it. Of the ``degree`` surest blocks of both the answer that comes
later wants those that tables did not propose at the stream's last access. What models name is watched from when they
are asked, though it may come before their answer is there: to ask for what has come costs nothing, and to go by how
late answers are was no better (docs/log.md).
"""

from typing import Any

from policies import experts, paying, watching
from policies.experts import TENTHS, nth_expert
from policies.paying import Paying
from policies.watching import Watch
from simulator.answers import HAS_GUESS, HEARD, Floats, call_want, distinct
from simulator.arrays import Ints
from simulator.compiled import floats_at, internal, ints_at
from simulator.records.record import Record, view
from simulator.records.rows import START

# Which experts, by whether they are learned.
_TABLES, _MODELS, _ALL = range(3)


class Hybrid(Record):
    """What is watched, what pays, and addresses: scratch for an expert's answer, for what all named, for an answer.

    ``proposed`` is the address of what tables proposed at each stream's last access, how many blocks and which, and
    ``proposed_sure`` of how sure these were; or both are 0. Behind it lie the experts.
    """

    n_experts: int
    degree: int
    wanted: int
    sure: int
    found: int
    precision: int
    named_by: int
    experts: int
    proposed: int
    proposed_sure: int
    watched: Watch
    paying: Paying


hybrid_at = view(Hybrid)
_EXPERTS: Any = Hybrid.words


@internal
def _is_of(is_learned: int, which: int) -> bool:
    return which == _ALL or is_learned == which


@internal
def _learn(state: Ints, which: int, key: int, stream: int, outcome: int) -> None:
    """Judge, unless that is done, and show it to those of them whose trigger it is; fates go to all that hear."""
    it = hybrid_at(state, START)
    if which != _MODELS:
        if outcome > HEARD:
            watching.settle(it.watched, key, outcome)
        else:
            paying.hear(it.paying, key, outcome)
    for i in range(it.n_experts):
        expert = nth_expert(state, _EXPERTS, i)
        if outcome <= HEARD or _is_of(expert.is_learned, which):
            experts.show_one(expert, key, stream, outcome)


@internal
def _collect(state: Ints, it: Hybrid, which: int, key: int, stream: int) -> int:
    """Ask them, and watch what they name; ``found`` has each block once, with the surest that named it. How many."""
    n, wanted, sure, named_by = 0, ints_at(it.wanted), floats_at(it.sure), ints_at(it.named_by)
    found, precision, precisions = ints_at(it.found), floats_at(it.precision), floats_at(it.watched.precisions)
    for i in range(it.n_experts):
        expert = nth_expert(state, _EXPERTS, i)
        if expert.is_asked == 0 or not _is_of(expert.is_learned, which):
            continue
        n_wanted = call_want(expert.want, ints_at(expert.state), key, stream, wanted, sure) & ~HAS_GUESS
        for rank in range(distinct(key, wanted, sure, n_wanted)):
            guess, place = wanted[rank], rank
            if expert.is_learned:
                place = int(sure[rank] * TENTHS)
            slot = expert.first_slot + min(place, expert.n_slots - 1)
            watching.watch(it.watched, guess, slot)
            at = 0
            while at < n and found[at] != guess:
                at += 1
            if at == n:
                found[n], precision[n], named_by[n] = guess, precisions[slot], i
                n += 1
            elif precisions[slot] > precision[at]:
                precision[at], named_by[at] = precisions[slot], i
    return n


@internal
def _best(it: Hybrid, n: int, least: float, keys: Ints, confidences: Floats) -> int:
    """The surest of what was found, those named first among equals; how many. ``experts`` has who named them."""
    found, precision, named_by, by, kept = (
        ints_at(it.found), floats_at(it.precision), ints_at(it.named_by), ints_at(it.experts), 0,
    )  # fmt: skip
    for i in range(n):
        if precision[i] < least or (kept == it.degree and precision[i] <= confidences[kept - 1]):
            continue
        at = kept if kept < it.degree else kept - 1
        kept = at + 1
        while at > 0 and confidences[at - 1] < precision[i]:
            keys[at], confidences[at], by[at] = keys[at - 1], confidences[at - 1], by[at - 1]
            at -= 1
        keys[at], confidences[at], by[at] = found[i], precision[i], named_by[i]
    return kept


@internal
def _line(it: Hybrid, stream: int) -> int:
    return stream * (it.degree + 1)


@internal
def _with_guess(it: Hybrid, n: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """Of ``n`` blocks what pays and was not proposed at once, and behind it the best guess, whether it pays or not."""
    if n == 0:
        return 0
    guess, its, kept, least = keys[0], max(confidences[0], 0.0), 0, paying.least(it.paying)
    by, proposed, sure, at = ints_at(it.experts), ints_at(it.proposed), floats_at(it.proposed_sure), _line(it, stream)
    n_proposed = proposed[at] if it.proposed != 0 else 0
    for i in range(n):
        is_new, n_before = confidences[i] >= least, kept
        for j in range(1, n_proposed + 1):
            is_new = is_new and proposed[at + j] != keys[i]
            n_before += sure[at + j] >= confidences[i]
        if is_new and n_before < it.degree:
            keys[kept], confidences[kept], by[kept] = keys[i], confidences[i], by[i]
            kept += 1
    keys[kept], confidences[kept] = guess, its
    return kept | HAS_GUESS


def learn(state: Ints, key: int, stream: int, outcome: int) -> None:
    """For all."""
    _learn(state, _ALL, key, stream, outcome)


def want(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """What pays of what all name."""
    it = hybrid_at(state, START)
    return _best(it, _collect(state, it, _ALL, key, stream), paying.least(it.paying), keys, confidences)


def want_with_guess(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """The same with a best guess."""
    it = hybrid_at(state, START)
    n = _best(it, _collect(state, it, _ALL, key, stream), -2.0, keys, confidences)
    return _with_guess(it, n, stream, keys, confidences)


def learn_at_once(state: Ints, key: int, stream: int, outcome: int) -> None:
    """For tables."""
    _learn(state, _TABLES, key, stream, outcome)


def want_at_once(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """What pays of what tables name."""
    it = hybrid_at(state, START)
    n = _best(it, _collect(state, it, _TABLES, key, stream), paying.least(it.paying), keys, confidences)
    proposed, its_sure, at = ints_at(it.proposed), floats_at(it.proposed_sure), _line(it, stream)
    proposed[at] = n
    for i in range(n):
        proposed[at + 1 + i], its_sure[at + 1 + i] = keys[i], confidences[i]
    return n


def learn_later(state: Ints, key: int, stream: int, outcome: int) -> None:
    """For models."""
    _learn(state, _MODELS, key, stream, outcome)


def want_later(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """What pays of what models name, and is not proposed, and their best guess."""
    it = hybrid_at(state, START)
    n = _best(it, _collect(state, it, _MODELS, key, stream), -2.0, keys, confidences)
    return _with_guess(it, n, stream, keys, confidences)
