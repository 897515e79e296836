"""A policy that is really asked, in whose blocks' place others are sent for."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from simulator.policy import AccessRun, Answer, Decision, Parts, Policy, Told, hears, recalls


class Wanted(NamedTuple):
    """What is to be named at an access, by its block: by the part of a policy that answers at once, and by the rest."""

    at_once: dict[int, list[int]]
    later: dict[int, list[int]]


class InPlace:
    """Takes the time that a policy takes, and names what somebody else wants at that access.

    What moves beside accesses disturbs them, and what a policy wants after accesses at random is not what it wants
    after those of the workload.
    """

    def __init__(self, policy: Policy, wanted: Wanted) -> None:
        self._policy, self._wanted = policy, wanted.later
        self.trigger, self.ahead, self.footprint_bytes = policy.trigger, policy.ahead, policy.footprint_bytes
        self.needs: tuple[str, ...] = getattr(policy, "needs", ())
        self.hears, self.recalls = hears(policy), recalls(policy)
        if (table := getattr(policy, "table", None)) is not None:
            # By its table it is told what to be shown.
            self.table = table
        parts: Parts | None = getattr(policy, "parts", None)
        if parts is not None:
            at_once = None if parts.at_once is None else InPlace(parts.at_once, Wanted({}, wanted.at_once))
            self.parts = Parts(at_once, InPlace(parts.later, wanted))

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """As it decides, with other blocks."""
        decision = self._policy.decide(runs)
        return replace(
            decision, answers=[self._other(*both) for both in zip(runs, decision.answers, strict=True)]
        )  # fmt: skip

    def _other(self, run: AccessRun, answer: Answer) -> Answer:
        keys = self._wanted.pop(run.asking[0], ())
        return Answer(keys, [1.0] * len(keys), answer.predicted_key, answer.confidence)

    def told(self, told: Told) -> None:
        """What it hears."""
        self._policy.told(told)
