"""An error-adaptive gate: any policy, held back while its recent guesses do not pay.

Ours, after the idea of confidence throttling in learned prefetchers. Every block that the policy wants is remembered
until it is accessed, or until so many others have been wanted since: right or wrong, let through or not. So a gate
that is closed still hears how the policy would do, and opens when it would pay.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from policies.base import PolicySettings
from policies.given import Built, Given
from policies.registry import PolicyConfig
from simulator.config import Count, Ratio
from simulator.needs import needs_of
from simulator.policy import AccessRun, Answer, Decision, Policy, Told, hears, recalls


class GateConfig(PolicySettings):
    """Wraps a policy: lets nothing through while its recent guesses do not pay (ours)."""

    kind: Literal["gate"]
    policy: PolicyConfig
    """The policy behind the gate."""
    window: Count = 256
    """Blocks that are remembered until they are accessed: a guess that was not is wrong."""
    weight: Ratio = 0.02
    """Weight of the newest guess in the moving average of those that came true."""
    rule: Literal["threshold", "cost"] = "cost"
    """Where the gate closes: below `threshold`, or below the accuracy at which a prefetch pays (`cost`)."""
    threshold: Ratio = 0.3
    """The accuracy below which it closes, with `rule: threshold`."""
    hysteresis: Ratio = 0.05
    """How far above that the accuracy must come to open it again."""

    def build(self, given: Given) -> Built:
        """The wrapped policy behind a gate; with ``rule: cost`` it closes below the accuracy at which it pays."""
        built = self.policy.build(given)
        threshold = given.timing().break_even() if self.rule == "cost" else self.threshold
        details = {**built.details, "threshold": built.details.get("threshold", threshold)}
        return replace(built, policy=GatePolicy(built.policy, self, threshold), details=details)

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


class GatePolicy:
    """A moving average of how many guesses come true, and a gate that opens above a threshold."""

    def __init__(self, policy: Policy, config: GateConfig, threshold: float) -> None:
        self._policy = policy
        self._config = config
        self._threshold = threshold
        self.trigger = policy.trigger
        self.footprint_bytes = policy.footprint_bytes
        self.ahead = policy.ahead
        self.recalls = recalls(policy)
        self.needs, self.hears = needs_of(policy), hears(policy)
        self.is_open = True
        # What is not known yet is believed: a policy may begin.
        self.accuracy = 1.0
        self._open_guesses: OrderedDict[int, None] = OrderedDict()

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """The policy's answers, or its best guess alone while the gate is closed."""
        decision = self._policy.decide(runs)
        answers = []
        for run, answer in zip(runs, decision.answers, strict=True):
            for key in run.key.tolist():
                if key in self._open_guesses:
                    del self._open_guesses[key]
                    self._judge(True)
            for key in answer.keys:
                self._open_guesses[key] = None
                self._open_guesses.move_to_end(key)
                if len(self._open_guesses) > self._config.window:
                    self._open_guesses.popitem(last=False)
                    self._judge(False)
            answers.append(answer if self.is_open else Answer((), (), answer.predicted_key, answer.confidence))
        return replace(decision, answers=answers)

    def _judge(self, is_right: bool) -> None:
        self.accuracy += self._config.weight * (is_right - self.accuracy)
        opens_at = min(self._threshold + self._config.hysteresis, 1.0)
        self.is_open = self.accuracy >= (self._threshold if self.is_open else opens_at)

    def told(self, told: Told) -> None:
        """Passed on."""
        self._policy.told(told)
