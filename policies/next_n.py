"""Next-N lookahead: at the trigger, the N blocks that follow at a fixed stride (Smith 1982, with tagged trigger).

Models no run detection and no throttling: it prefetches on random accesses as eagerly as on sequential ones.
"""

from collections.abc import Sequence

from simulator.policy import AccessRun, Ahead, Answer, Decision, Told, Trigger

_KEYS = 2**64


class NextNPolicy:
    """Wants ``key + stride`` to ``key + n * stride`` of the access that asks."""

    footprint_bytes = 0
    ahead = Ahead()

    def __init__(self, n: int = 1, trigger: Trigger = Trigger.TAGGED, stride: int = 1) -> None:
        self.trigger = trigger
        self._steps = [stride * i for i in range(1, n + 1)]

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """One answer a run, nearest block first; blocks beyond either end of the key space are left out."""
        return Decision([self._answer(int(run.key[-1])) for run in runs])

    def _answer(self, key: int) -> Answer:
        keys = [key + step for step in self._steps if 0 <= key + step < _KEYS]
        return Answer(keys, [1.0] * len(keys), keys[0] if keys else None, 1.0 if keys else float("nan"))

    def told(self, told: Told) -> None:
        """Learns nothing."""
