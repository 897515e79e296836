"""The control of learned prefetchers: the steps that were most used in the training part, whatever comes before.

Ours. A step counts for an access if the block so far away is read within the next ``window`` accesses, once each. No
context at all goes into it: a model that does no better has learned nothing that a count of steps does not know.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from policies.base import CompiledPolicy, Degree, PolicySettings, TriggerName
from policies.given import Accesses, Built, Given
from simulator.answers import Floats, offer
from simulator.arrays import Ints
from simulator.config import Count, Ratio

_CHUNK = 1 << 15
# The state: how many steps; then each with its share in the bits of a float64.
_N, _STEPS = range(2)


class StaticDeltasConfig(PolicySettings):
    """The steps that were most used in the training part, without any context: a control (ours)."""

    kind: Literal["static_deltas"]
    window: Count = 16
    """Accesses within which a block must be read for its step to count."""
    degree: Degree = 8
    """Steps that are kept, at most."""
    rule: Literal["cost", "threshold"] = "cost"
    """Which are kept: those used often enough to pay (`cost`), or as often as `threshold` says."""
    threshold: Ratio = 0.1
    """With `rule: threshold`, the share of accesses that a step must have been used after."""
    per_stream: bool = True
    """Steps within a stream, or within all in the trace's order."""
    trigger: TriggerName = "access"
    """When it is asked: at every `access`, at a `miss`, or `tagged`: at misses and first uses of prefetched blocks."""

    def build(self, given: Given) -> Built:
        """The steps of the training part."""
        least = given.timing().break_even() if self.rule == "cost" else self.threshold
        steps, shares = most_used(given.sequences(self.per_stream), self.window)
        kept = np.flatnonzero(shares >= least)[: self.degree]
        return Built(StaticDeltasPolicy(self.trigger, steps[kept], shares[kept]), {"threshold": least})

    @property
    def learns(self) -> bool:
        """It counts."""
        return True

    @property
    def is_measured(self) -> bool:
        """A look-up."""
        return False


def most_used(sequences: Sequence[Accesses], window: int) -> tuple[Ints, npt.NDArray[np.float64]]:
    """Steps (n,) between a block and those read within ``window`` accesses after it, and the share of accesses each.

    The most used come first; among equals the shorter, and upwards. A step is counted once an access; 0 is none.
    """
    steps, counts, n_accesses = np.empty(0, np.int64), np.empty(0, np.int64), 0
    for accesses in sequences:
        n_accesses += len(accesses.keys)
        for first in range(0, len(accesses.keys), _CHUNK):
            found, n = np.unique(_steps_of(accesses, first, window), return_counts=True)
            steps, where = np.unique(np.concatenate([steps, found]), return_inverse=True)
            counts = np.bincount(where, np.concatenate([counts, n]), len(steps)).astype(np.int64)
    # As unsigned numbers, for the least step has no opposite.
    size = np.where(steps < 0, np.negative(steps).view(np.uint64), steps.view(np.uint64))
    order = np.lexsort((steps < 0, size, -counts))
    return steps[order], counts[order] / max(n_accesses, 1)


def _steps_of(accesses: Accesses, first: int, window: int) -> Ints:
    """Of the accesses from one on: steps to reads that follow, each once an access."""
    keys = accesses.keys[first : first + _CHUNK + window]
    reads = ~accesses.writes[first : first + _CHUNK + window]
    n = min(_CHUNK, len(keys))
    found = np.zeros((n, window), np.int64)
    for lag in range(1, min(window, len(keys) - 1) + 1):
        m = min(n, len(keys) - lag)
        steps = (keys[lag : lag + m] - keys[:m]).view(np.int64)
        found[:m, lag - 1] = np.where(reads[lag : lag + m], steps, 0)
    found.sort(axis=1)
    is_new = np.ones(found.shape, bool)
    is_new[:, 1:] = found[:, 1:] != found[:, :-1]
    return found[is_new & (found != 0)]


def _learn(state: Ints, key: int, stream: int, outcome: int) -> None:
    """Nothing."""


def _want(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """The blocks at these steps, the most used first, each with the share of accesses that it was used after."""
    n = 0
    for i in range(state[_N]):
        share = np.int64(state[_STEPS + 2 * i + 1]).view(np.float64)
        n = offer(keys, confidences, n, key, state[_STEPS + 2 * i], share)
    return n


class StaticDeltasPolicy(CompiledPolicy):
    """Wants the blocks at steps (n,) with their shares (n,)."""

    def __init__(self, trigger: TriggerName, steps: Ints, shares: npt.NDArray[np.float64]) -> None:
        state = np.zeros(_STEPS + 2 * len(steps), np.int64)
        state[_N] = len(steps)
        state[_STEPS::2], state[_STEPS + 1 :: 2] = steps, shares.view(np.int64)
        super().__init__(trigger, state, _learn, _want, most_wanted=max(len(steps), 1))
