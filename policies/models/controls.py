"""What a trained model is held against: guesses that need no network, learned from the fitted part alone.

A network that collapsed says the same whatever came before, and its accuracy alone does not show it: where a fifth of
all steps are +1, a fifth of such guesses are right. So what it names on the validation part is counted beside what the
commonest class, the commonest step and the next block name there, which know nothing of what came before, and beside
two Markov tables, which know one access.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from policies.given import Accesses
from policies.models.codecs.base import IGNORE, UNKNOWN, Classes, Codec
from policies.models.lanes import Encoded
from policies.models.network import Network
from policies.models.schedule import Schedule
from policies.models.scoring import scored

Codes = npt.NDArray[np.int64]
Right = dict[str, float]
_STEADY = 0.01
"""Confidences with less spread than that are one; so are guesses of which all but such a share are the same."""


@dataclass(frozen=True)
class Standing:
    """A model beside its controls, at one horizon: shares of the validation part's accesses that were named before.

    ``named_ratio`` is that of the model's best known block, which is what it asks for; the unknown asks for nothing.
    ``blind_ratio`` is the best of the controls that know nothing of what came before, ``control_ratio`` of all.
    """

    named_ratio: float
    control: str
    control_ratio: float
    blind_ratio: float
    is_constant: bool

    @property
    def beats_control(self) -> bool:
        """Whether it names more than any control does."""
        return not self.is_constant and self.named_ratio > self.control_ratio

    @property
    def is_blind(self) -> bool:
        """Whether it learned nothing from what came before: then there is nothing that its confidences are worth."""
        return self.is_constant or self.named_ratio <= self.blind_ratio

    @property
    def has_context(self) -> bool:
        """Whether a table sees something in what came before, so that a blind model is not all there is to learn."""
        return self.control_ratio > self.blind_ratio


def least_confidence(rule: str, threshold: float, break_even: Callable[[], float], standing: Standing | None) -> float:
    """From which confidence on a model's guesses are asked for; with ``rule: cost`` from none where it is blind.

    A confidence is worth what it says where it was earned: that of a model which is right no more often than a guess
    that looks at nothing came with the share of the commonest class, and goes with it.
    """
    if rule != "cost":
        return threshold
    return math.inf if standing is not None and standing.is_blind else break_even()


def standing_of(
    model: Network, codec: Codec, fit: Sequence[Accesses], validation: Sequence[Accesses],
    encoded: tuple[Sequence[Encoded], Sequence[Encoded]], config: Schedule, head: int, device: torch.device,
) -> Standing | None:  # fmt: skip
    """At the horizon that is the ``head``-th; None without anything to validate on."""
    blind, tables = class_controls(*encoded, head)
    if codec.names_keys:
        more_blind, more_tables = key_controls(
            fit, validation, config.horizons[head], reads_alone=config.targets == "reads"
        )
        blind, tables = blind | more_blind, tables | more_tables
    spans = model.spans[config.horizons[head]]
    best, sure, wanted = [], [], []
    for scores, targets in scored(model, encoded[1], config, device):
        guesses, confidences = _best([scores[:, first:end] for first, end in spans])
        kept = (targets[:, head] != IGNORE).all(axis=1)
        best.append(guesses[kept])
        sure.append(confidences[kept])
        wanted.append(targets[kept, head])
    if not sum(len(part) for part in wanted):
        return None
    guessed, right = np.concatenate(best), np.concatenate(wanted)
    named = float((guessed == right).all(axis=1).mean())
    return beside(named, blind, tables, is_constant=constant(guessed, np.concatenate(sure)))


def beside(named_ratio: float, blind: Right, tables: Right, *, is_constant: bool) -> Standing:
    """A model beside controls that look at nothing and those that look at what came before."""
    every = blind | tables
    control = max(every, key=lambda name: every[name])
    return Standing(named_ratio, control, every[control], max(blind.values()), is_constant)


def _best(fields: Sequence[torch.Tensor]) -> tuple[Classes, npt.NDArray[np.float64]]:
    """The best known class of each field, (n, fields), and their joint probability (n,)."""
    found, sure = [], []
    for scores in fields:
        known = torch.softmax(scores, dim=-1)[:, 1:]
        if known.shape[1] == 0:
            known = scores.new_zeros(len(scores), 1)
        values, places = known.max(dim=-1)
        found.append(places.cpu().numpy() + 1)
        sure.append(values.cpu().numpy().astype(np.float64))
    return np.stack(found, axis=1), np.prod(sure, axis=0)


def constant(classes: Classes, confidences: npt.NDArray[np.float64]) -> bool:
    """Whether best guesses (n, fields) are one, at one confidence."""
    _, counts = np.unique(classes, axis=0, return_counts=True)
    return bool(counts.max() >= (1 - _STEADY) * len(classes) and confidences.std() < _STEADY)


def class_controls(fit: Sequence[Encoded], validation: Sequence[Encoded], head: int) -> tuple[Right, Right]:
    """Blind ones and tables that know the model's classes alone: any encoder has them."""
    before, after = _pairs(fit, head)
    is_known = (after != UNKNOWN).all(axis=1)
    seen, wanted = _pairs(validation, head)
    if not len(wanted):
        return {"the commonest class": 0.0}, {}
    # Rows of classes as one number each: the same of the two parts.
    codes = np.unique(np.concatenate([after, wanted]), axis=0, return_inverse=True)[1].reshape(-1)
    inputs = np.unique(np.concatenate([before, seen]), axis=0, return_inverse=True)[1].reshape(-1)
    learned, asked = codes[: len(after)][is_known], codes[len(after) :]
    is_worth = (wanted != UNKNOWN).all(axis=1)
    constant_guess = np.full(len(asked), _commonest(learned))
    table = _table(inputs[: len(before)][is_known], learned, inputs[len(before) :])
    return (
        {"the commonest class": float(((constant_guess == asked) & is_worth).mean())},
        {"a Markov table of classes": float(((table == asked) & is_worth).mean())},
    )


def key_controls(
    fit: Sequence[Accesses], validation: Sequence[Accesses], horizon: int, *, reads_alone: bool
) -> tuple[Right, Right]:
    """Blind ones and a table that know keys: for encoders whose classes stand for one key each, given the last one."""
    before, after, is_learned = _along(fit, horizon, reads_alone=reads_alone)
    seen, wanted, is_worth = _along(validation, horizon, reads_alone=reads_alone)
    before, after = before[is_learned], after[is_learned]
    if not len(wanted) or not len(after):
        return {"the next block": 0.0}, {}
    keys, codes = np.unique(np.concatenate([before, after, seen]), return_inverse=True)
    learned, asked = codes[: len(before)], codes[len(before) + len(after) :]
    nothing = len(keys)
    table = _table(learned, codes[len(before) : len(before) + len(after)], asked, otherwise=nothing)
    guessed = np.append(keys, np.uint64(0))[table]
    step = np.int64(_commonest((after - before).view(np.int64))).view(np.uint64)
    return (
        {
            "the commonest step": float(((seen + step == wanted) & is_worth).mean()),
            "the next block": float(((seen + np.uint64(horizon) == wanted) & is_worth).mean()),
        },
        {"a Markov table of keys": float(((guessed == wanted) & (table != nothing) & is_worth).mean())},
    )


def _pairs(streams: Sequence[Encoded], head: int) -> tuple[Classes, Classes]:
    """Inputs (n, fields) and what was right after each (n, fields)."""
    if not streams:
        return np.empty((0, 1), np.int64), np.empty((0, 1), np.int64)
    inputs = np.concatenate([stream.inputs for stream in streams])
    targets = np.concatenate([stream.targets[:, head] for stream in streams])
    kept = (targets != IGNORE).all(axis=1)
    return inputs[kept], targets[kept]


def _along(
    sequences: Sequence[Accesses], horizon: int, *, reads_alone: bool
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """Keys, those ``horizon`` ahead in their stream, and which of these are worth a prediction."""
    long = [sequence for sequence in sequences if len(sequence.keys) > horizon]
    if not long:
        return np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, bool)
    before = np.concatenate([sequence.keys[:-horizon] for sequence in long]).astype(np.uint64)
    after = np.concatenate([sequence.keys[horizon:] for sequence in long]).astype(np.uint64)
    writes = np.concatenate([sequence.writes[horizon:] for sequence in long])
    return before, after, ~writes if reads_alone else np.ones(len(after), bool)


def _commonest(codes: Codes) -> int:
    """The most frequent value; among equals the smallest; -1 of none."""
    if not len(codes):
        return -1
    values, counts = np.unique(codes, return_counts=True)
    return int(values[counts.argmax()])


def _table(before: Codes, after: Codes, asked: Codes, otherwise: int = -1) -> Codes:
    """For each that is asked what followed on it most often, of equals the smallest; ``otherwise`` if nothing did."""
    answers: Any = {}
    if len(before):
        pairs, counts = np.unique(np.stack([before, after], axis=1), axis=0, return_counts=True)
        # The last of a ``before`` in this order stays in the dict: the most frequent, then the smallest.
        order = np.lexsort((-pairs[:, 1], counts))
        answers = dict(zip(pairs[order, 0].tolist(), pairs[order, 1].tolist(), strict=True))
    return np.array([answers.get(code, otherwise) for code in asked.tolist()], np.int64)
