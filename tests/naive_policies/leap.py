"""Leap: the majority of the last steps, in a window that grows until there is one.

Maruf & Chowdhury, "Effectively Prefetching Remote Memory with Leap", ATC 2020. One history for all streams, as one
process has in the paper. How many blocks are wanted grows with the prefetches that were used since the last question
and shrinks by half at most. Leaves out what the paper does where there is no trend: it reads around the fault.
"""

from collections import deque
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from policies.base import Degree, PolicySettings, TablePolicy, TriggerName, sure
from policies.given import Built, Given
from simulator.policy import Ahead, Outcome


class LeapConfig(PolicySettings):
    """The blocks along the majority of the last steps (Maruf & Chowdhury 2020)."""

    kind: Literal["leap"]
    history: Annotated[int, Field(ge=2, le=2**16)] = 32
    split: Annotated[int, Field(ge=1, le=2**16)] = 4
    max_window: Degree = 8
    trigger: TriggerName = "tagged"

    def build(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(LeapPolicy(self))


def majority(steps: Sequence[int]) -> int | None:
    """The step that makes up more than half of them, by Boyer and Moore's vote, or None."""
    candidate, votes = 0, 0
    for step in steps:
        if votes == 0:
            candidate = step
        votes += 1 if step == candidate else -1
    n = sum(step == candidate for step in steps)
    return candidate if 2 * n > len(steps) else None


class LeapPolicy(TablePolicy):
    """The last steps, newest first."""

    ahead = Ahead(of_stream=False)

    def __init__(self, config: LeapConfig) -> None:
        super().__init__(config.trigger)
        self._config = config
        self._steps: deque[int] = deque(maxlen=config.history)
        self._last: int | None = None
        self._n_used = 0
        self._window = 0

    def learn(self, key: int, stream: int, outcome: int) -> None:
        """The step to this access, and whether a prefetch served it."""
        if self._last is not None:
            self._steps.appendleft(key - self._last)
        self._last = key
        self._n_used += outcome in (Outcome.HIT_PREFETCHED, Outcome.LATE)

    def _trend(self) -> int | None:
        steps = list(self._steps)
        size = max(self._config.history // self._config.split, 1)
        while steps:
            found = majority(steps[:size])
            if found is not None or size >= len(steps):
                return found
            size *= 2
        return None

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        """So many blocks along the trend."""
        trend = self._trend()
        follows = bool(self._steps) and self._steps[0] == trend
        if self._n_used == 0:
            window = 1 if follows else 0
        else:
            window = min(1 << self._n_used.bit_length(), self._config.max_window)
        window = max(window, self._window // 2)
        self._window, self._n_used = window, 0
        if not trend:
            return []
        return sure([key + trend * i for i in range(1, window + 1)])
