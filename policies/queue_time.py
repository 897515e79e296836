"""Prefetching while a request waits: when it arrives, the blocks of its prompt are sent for (rule R45).

As serving systems do that look up a request's prefix when it enters the queue instead of when it is scheduled (SGLang's
HiCache; LMCache's and Mooncake's connectors). It knows the request, which has come, and nothing of the next ones. What
becomes of it where the request's turn comes first is the system's to say (``requests.stop``).
"""

from collections.abc import Sequence
from typing import Literal

from policies.base import PolicySettings
from policies.given import Built, Given
from simulator.config import Count
from simulator.policy import AccessRun, Ahead, Answer, Decision, Outcome, Told, Trigger


class QueueTimeConfig(PolicySettings):
    """The blocks of a request that arrives, while it waits for its turn."""

    kind: Literal["queue_time"]
    most: Count | None = None
    """Blocks of a request that it sends for, the first ones; null: all."""

    @property
    def is_asked_at_arrivals(self) -> bool:
        """Then alone."""
        return True

    def build(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(QueueTimePolicy(self.most))


class QueueTimePolicy:
    """Wants what a request reads that tier 0 does not have, in the order in which it is read."""

    hears = recalls = False
    trigger = Trigger.ARRIVAL
    footprint_bytes = 0
    ahead = Ahead()

    def __init__(self, most: int | None) -> None:
        self._most = most

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """One answer a run, of what was shown since the one before: several requests, if some were not answered."""
        return Decision([self._answer(run) for run in runs])

    def _answer(self, run: AccessRun) -> Answer:
        lacking = run.key[run.outcome == Outcome.MISS].tolist()
        keys = list(dict.fromkeys(lacking))[: self._most]
        return Answer(keys, [1.0] * len(keys))

    def told(self, told: Told) -> None:
        """Learns nothing."""
