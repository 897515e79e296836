"""Feedback-directed prefetching: any policy, throttled by its accuracy, its lateness and its pollution.

Srinath et al., "Feedback Directed Prefetching", HPCA 2007. A level gives a distance and a degree: of what the policy
wants, the first ``distance`` blocks are looked at, and of these the first ``degree`` that were not asked for of late
are let through. So the policy should want many blocks, most wanted first; one that never wants more than a level lets
through is not throttled by it. Leaves out the paper's choice of where prefetched blocks enter the cache
(``prefetch.enters``).
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field, model_validator

from policies.base import PolicySettings
from policies.given import Built, Given
from policies.registry import PolicyConfig
from simulator.config import Count, Ratio
from simulator.needs import needs_of
from simulator.policy import AccessRun, Answer, Decision, Fate, Policy, Told, recalls

# (distance, degree), least aggressive first.
LEVELS = ((4, 1), (8, 1), (16, 2), (32, 4), (64, 4))
_REMEMBERED = 1024


class FdpConfig(PolicySettings):
    """Wraps a policy: lets through more or less by accuracy, lateness and pollution (Srinath et al. 2007)."""

    kind: Literal["fdp"]
    policy: PolicyConfig
    """The policy that is throttled; it should want many blocks."""
    accuracy_high: Ratio = 0.75
    """Above it the accuracy is high (A_high)."""
    accuracy_low: Ratio = 0.40
    """Below it the accuracy is low (A_low)."""
    lateness: Ratio = 0.01
    """Above it prefetches are late (T_lateness)."""
    pollution: Ratio = 0.005
    """Above it they pollute (T_pollution)."""
    interval: Count = 256
    """Settled prefetches after which the level may change."""
    level: Annotated[int, Field(ge=1, le=len(LEVELS))] = 3
    """The first level of aggressiveness, from 1 to 5."""

    @model_validator(mode="after")
    def _accuracies(self) -> "FdpConfig":
        if self.accuracy_low > self.accuracy_high:
            raise ValueError(
                f"accuracy_low: expected at most accuracy_high {self.accuracy_high}, got {self.accuracy_low}"
            )
        return self

    def build(self, given: Given) -> Built:
        """The wrapped policy, throttled."""
        built = self.policy.build(given)
        return replace(built, policy=FdpPolicy(built.policy, self))

    def check(self) -> None:
        """What the wrapped policy needs."""
        self.policy.check()

    @property
    def asks_for(self) -> tuple[str, ...]:
        """As the wrapped policy."""
        return self.policy.asks_for

    @property
    def core(self) -> PolicySettings:
        """The wrapped policy."""
        return self.policy.core

    @property
    def learns(self) -> bool:
        """As the wrapped policy."""
        return self.policy.learns


def change(config: FdpConfig, accuracy: float, lateness: float, pollution: float) -> int:
    """How many levels up (1), down (-1) or neither (0): the paper's table of twelve cases."""
    is_late, pollutes = lateness > config.lateness, pollution > config.pollution
    if accuracy >= config.accuracy_high:
        return 1 if is_late else -1 if pollutes else 0
    if accuracy >= config.accuracy_low:
        return -1 if pollutes else 1 if is_late else 0
    return -1 if is_late or pollutes else 0


class FdpPolicy:
    """Lets through what the level allows; the level changes after each interval of settled prefetches."""

    def __init__(self, policy: Policy, config: FdpConfig) -> None:
        self._policy = policy
        self._config = config
        self.trigger = policy.trigger
        self.footprint_bytes = policy.footprint_bytes
        self.ahead = policy.ahead
        self.recalls = recalls(policy)
        self.needs = needs_of(policy)
        self.level = config.level
        self._asked: OrderedDict[int, None] = OrderedDict()
        self._n_misses = 0
        # Settled, useful, late, polluted, misses: halved with each interval, so that the last counts for half.
        self._sums = [0.0] * 5
        self._new = [0] * 5

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """The policy's answers, cut down."""
        for run in runs:
            self._new[4] += int((run.outcome > 1).sum())
        decision = self._policy.decide(runs)
        return replace(decision, answers=[self._cut(answer) for answer in decision.answers])

    def _cut(self, answer: Answer) -> Answer:
        distance, degree = LEVELS[self.level - 1]
        keys: list[int] = []
        confidences: list[float] = []
        experts: list[int] = []
        for i, key in enumerate(answer.keys[:distance]):
            if key in self._asked:
                continue
            keys.append(key)
            confidences.append(answer.confidences[i])
            experts += answer.experts[i : i + 1]
            self._asked[key] = None
            if len(self._asked) > _REMEMBERED:
                self._asked.popitem(last=False)
            if len(keys) == degree:
                break
        return replace(answer, keys=keys, confidences=confidences, experts=experts)

    def told(self, told: Told) -> None:
        """Count fates; what left the cache or was given up may be asked for again."""
        self._policy.told(told)
        for key, fate in zip(told.keys, told.fates, strict=True):
            if fate in (Fate.EVICTED_UNUSED, Fate.CANCELLED):
                self._asked.pop(key, None)
            self._new[0] += 1
            self._new[1] += fate in (Fate.TIMELY, Fate.LATE)
            self._new[2] += fate == Fate.LATE
        self._new[3] += told.n_polluted
        if self._new[0] >= self._config.interval:
            self._sums = [(old + new) / 2 for old, new in zip(self._sums, self._new, strict=True)]
            self._new = [0] * 5
            settled, useful, late, polluted, misses = self._sums
            up = change(self._config, useful / settled, late / max(useful, 1e-9), polluted / max(misses, 1e-9))
            self.level = min(max(self.level + up, 1), len(LEVELS))
