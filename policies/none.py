"""Never prefetches: the baseline that every other policy is compared with."""

from collections.abc import Sequence
from typing import Literal

from policies.base import PolicySettings
from policies.given import Built, Given
from simulator.policy import AccessRun, Ahead, Answer, Decision, Told, Trigger


class NoneConfig(PolicySettings):
    """No prefetching: the baseline."""

    kind: Literal["none"]

    def build(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(NonePolicy())


class NonePolicy:
    """Demand fetches only."""

    trigger = Trigger.NEVER
    hears = False
    footprint_bytes = 0
    ahead = Ahead()

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """Wants nothing; never asked in a run."""
        return Decision([Answer() for _ in runs])

    def told(self, told: Told) -> None:
        """Learns nothing."""
