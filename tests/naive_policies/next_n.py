"""Next-N lookahead: at the trigger, the N blocks that follow at a fixed stride.

Smith, "Cache Memories", Computing Surveys 1982 (one block lookahead; the tagged trigger is Gindele's). Models no run
detection and no throttling: it prefetches on random accesses as eagerly as on sequential ones.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from policies.base import Degree, PolicySettings, TablePolicy, TriggerName, sure
from policies.given import Built, Given


class NextNConfig(PolicySettings):
    """The N following blocks, at misses and first uses of prefetched blocks (Smith 1982)."""

    kind: Literal["next_n"]
    n: Degree = 1
    stride: Annotated[int, Field(ge=-(2**62), le=2**62)] = 1
    trigger: TriggerName = "tagged"

    def build(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(NextNPolicy(self.n, self.trigger, self.stride))


class NextNPolicy(TablePolicy):
    """Wants ``key + stride`` to ``key + n * stride`` of the access that asks."""

    def __init__(self, n: int = 1, trigger: TriggerName = "tagged", stride: int = 1) -> None:
        super().__init__(trigger)
        self._steps = [stride * i for i in range(1, n + 1)]

    def learn(self, key: int, stream: int, outcome: int) -> None:
        """Nothing."""

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        """Nearest block first."""
        return sure([key + step for step in self._steps])
