"""The oracle: knows the next demand misses, and pays for its transfers. The ceiling of prefetching, but for luck.

What it knows are the accesses that a tier 0 without prefetching would miss, untimed, in the trace's order. It wants
the next k of them behind the last access that it was shown. Several streams that run apart in a closed loop are read
in the trace's order all the same.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np

from policies.base import Degree, PolicySettings
from policies.given import Built, Given
from simulator.policy import AccessRun, Ahead, Answer, Decision, Told, Trigger


class OracleConfig(PolicySettings):
    """The next k demand misses, known beforehand: the ceiling."""

    kind: Literal["oracle"]
    k: Degree = 8
    """Coming demand misses that it knows."""

    def build(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(OraclePolicy(self.k, given))


class OraclePolicy:
    """Counts the accesses of each stream that it is shown, and so knows how far the trace has come."""

    trigger = Trigger.ACCESS
    hears = False
    footprint_bytes = 0
    ahead = Ahead(of_stream=False)
    recalls = True

    def __init__(self, k: int, given: Given) -> None:
        future = given.future()
        self._k = k
        self._misses = np.flatnonzero(future.misses)
        self._keys = future.keys
        # The positions of each stream's accesses, and how many of them are over.
        order = np.argsort(future.stream, kind="stable")
        starts = np.searchsorted(future.stream[order], np.arange(given.n_streams + 1))
        self._positions = [order[a:b] for a, b in pairwise(starts)]
        self._n_shown = [0] * given.n_streams
        self._at = -1

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """The next misses, soonest first."""
        return Decision([self._answer(run) for run in runs])

    def _answer(self, run: AccessRun) -> Answer:
        streams, counts = np.unique(run.stream, return_counts=True)
        for stream, n in zip(streams.tolist(), counts.tolist(), strict=True):
            self._n_shown[stream] += n
            self._at = max(self._at, int(self._positions[stream][self._n_shown[stream] - 1]))
        first = int(np.searchsorted(self._misses, self._at, side="right"))
        keys = list(dict.fromkeys(self._keys[self._misses[first : first + self._k]].tolist()))
        return Answer(keys, [1.0] * len(keys), keys[0], 1.0) if keys else Answer()

    def told(self, told: Told) -> None:
        """Knows already."""
