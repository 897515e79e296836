"""Best-offset prefetching: the one offset at which most recent accesses would have been prefetched in time.

Michaud, "Best-Offset Hardware Prefetching", HPCA 2016. The paper enters a base address into the table of recent
requests when its prefetch is filled, so that an offset scores only if it is timely. A policy here does not see fills:
an access enters the table ``delay`` accesses later. One table of the last requests stands for its two direct-mapped
banks.
"""

from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from policies.base import Degree, PolicySettings, TablePolicy, TriggerName, sure
from policies.given import Built, Given
from simulator.config import Count
from simulator.policy import Ahead


class BestOffsetConfig(PolicySettings):
    """The block at the one best offset, learned in rounds; nothing while none is good (Michaud 2016)."""

    kind: Literal["best_offset"]
    score_max: Count = 31
    round_max: Count = 100
    bad_score: Annotated[int, Field(ge=0)] = 10
    max_offset: Degree = 256
    recent: Count = 128
    delay: Annotated[int, Field(ge=0, le=2**16)] = 2
    degree: Degree = 1
    trigger: TriggerName = "tagged"

    def build(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(BestOffsetPolicy(self))


def offsets_up_to(most: int) -> list[int]:
    """The numbers up to ``most`` with no prime factor but 2, 3 and 5: 52 up to 256."""
    found = []
    for n in range(1, most + 1):
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            found.append(n)
    return found


class BestOffsetPolicy(TablePolicy):
    """Scores of all offsets, tested one an access in turn."""

    ahead = Ahead(of_stream=False)

    def __init__(self, config: BestOffsetConfig) -> None:
        super().__init__(config.trigger)
        self._config = config
        self._offsets = offsets_up_to(config.max_offset)
        self._scores = dict.fromkeys(self._offsets, 0)
        self._at = self._round = 0
        self._best: int | None = 1
        self._waiting: deque[int] = deque()
        self._recent: OrderedDict[int, None] = OrderedDict()

    def learn(self, key: int, stream: int, outcome: int) -> None:
        """Test the next offset, and let accesses that are old enough into the table."""
        offset = self._offsets[self._at]
        if key - offset in self._recent:
            self._scores[offset] += 1
        self._at += 1
        if self._at == len(self._offsets):
            self._at = 0
            self._round += 1
            if max(self._scores.values()) >= self._config.score_max or self._round == self._config.round_max:
                self._choose()
        self._waiting.append(key)
        if len(self._waiting) > self._config.delay:
            old = self._waiting.popleft()
            self._recent[old] = None
            self._recent.move_to_end(old)
            if len(self._recent) > self._config.recent:
                self._recent.popitem(last=False)

    def _choose(self) -> None:
        """A learning phase is over: the best offset, the smallest of those that are alike, or none if it is bad."""
        best = max(self._offsets, key=self._scores.__getitem__)
        self._best = best if self._scores[best] > self._config.bad_score else None
        self._scores = dict.fromkeys(self._offsets, 0)
        self._at = self._round = 0

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        """The blocks at multiples of the best offset."""
        if self._best is None:
            return []
        return sure([key + self._best * i for i in range(1, self._config.degree + 1)])
