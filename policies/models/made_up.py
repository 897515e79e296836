"""Questions that no run asks, put to a policy of its own on a run's network: to warm it up, and to try paces."""

from collections.abc import Sequence
from itertools import cycle

import numpy as np

from policies.models.encoder import Seen
from simulator.policy import AccessRun, Decision, Policy


class MadeUp:
    """Asks ``policy``, which nobody else asks: about ``first``, which fill a window, and then about one of ``then``."""

    def __init__(self, policy: Policy, first: Seen, then: Sequence[Seen]) -> None:
        self._policy, self._first, self._then = policy, first, cycle(then)
        self._n_lines = 0

    def __call__(self, n_questions: int = 1) -> Decision:
        """A batch of so many questions, each of a stream of its own."""
        return self._policy.decide([self._run(stream) for stream in range(n_questions)])

    def _run(self, stream: int) -> AccessRun:
        seen = next(self._then) if stream < self._n_lines else self._first
        self._n_lines = max(self._n_lines, stream + 1)
        n = len(seen.key)
        return AccessRun(seen.key, np.full(n, stream, np.uint32), np.zeros(n, np.uint8), seen.columns)

    def batches(self, most: int) -> list[tuple[int, int]]:
        """Host and device time, in ns, of a batch of each size from 2 to ``most``: the first of a size takes longer."""
        decisions = [self(n) for n in range(2, most + 1)]
        return [(decision.host_ns, decision.device_ns) for decision in decisions]
