"""Never prefetches: the baseline that every other policy is compared with."""

from collections.abc import Sequence

from simulator.policy import AccessRun, Ahead, Answer, Decision, Told, Trigger


class NonePolicy:
    """Demand fetches only."""

    trigger = Trigger.NEVER
    footprint_bytes = 0
    ahead = Ahead()

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """Wants nothing; never asked in a run."""
        return Decision([Answer() for _ in runs])

    def told(self, told: Told) -> None:
        """Learns nothing."""
