"""What an inference costs on the simulated clock (rule R15)."""

import gc
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulator.errors import InputError
from simulator.policy import AccessRun, Decision, Policy, Update


class Cost(NamedTuple):
    """What the clock is charged for a batch of questions, and what is recorded as its times, in ns.

    ``host_ns`` is wall time, ``cpu_ns`` what of it the asking thread had of a processor.
    """

    charged_ns: int
    host_ns: int
    device_ns: int
    cpu_ns: int


Charge = Callable[[Decision], Cost]
Guess = tuple[int | None, int | None]
"""A question's best guess, and how many blocks were proposed; None where that was not counted."""


def measured(decision: Decision) -> Cost:
    """This very call's wall time."""
    return Cost(decision.host_ns, decision.host_ns, decision.device_ns, decision.cpu_ns)


def measured_cpu(decision: Decision) -> Cost:
    """What of this very call's wall time its thread had of a processor: without what others took in between."""
    return Cost(decision.cpu_ns, decision.host_ns, decision.device_ns, decision.cpu_ns)


def put(policy: Policy, charge: Charge, runs: Sequence[AccessRun], now_ns: int) -> tuple[Decision, Cost]:
    """Put a batch of questions to a policy at a simulated time, which the charge may learn and the policy may not.

    A charge with a pace of its own has a method ``before``, told of the time and the number of questions; one that says
    what updates take has ``of_update``. Garbage is collected between questions, not in one: all that the simulator
    holds would be gone through while a clock runs.
    """
    before = getattr(charge, "before", None)
    if before is not None:
        before(now_ns, len(runs))
    collects = gc.isenabled()
    gc.disable()
    try:
        decision = policy.decide(runs)
    finally:
        if collects:
            gc.enable()
    cost = charge(decision)
    of_update = getattr(charge, "of_update", None)
    if decision.update is not None and of_update is not None:
        decision = replace(decision, update=of_update(decision.update))
    return decision, cost


@dataclass(frozen=True)
class fixed:  # noqa: N801 - made like the other charges
    """The same for every inference; 0 is ``free``."""

    ns: int

    def __call__(self, decision: Decision) -> Cost:
        """Whatever it took."""
        return Cost(self.ns, decision.host_ns, decision.device_ns, decision.cpu_ns)

    def of_update(self, update: Update) -> Update:
        """Where questions are free, so are updates; else they take what they take."""
        return update if self.ns else replace(update, charged_ns=0)


def is_free(charge: Charge) -> bool:
    """Whether no question costs anything, whatever it takes."""
    return isinstance(charge, fixed) and charge.ns == 0


class Replay:
    """What an earlier run recorded, batch by batch: its times, and the guesses that are expected again.

    Where a guess differs, the run is another one than was recorded: its latencies would be charged to the wrong work.
    """

    def __init__(
        self, costs: Sequence[Cost], guesses: Sequence[Sequence[Guess]], source: str, updates_ns: Sequence[int] = ()
    ) -> None:
        """``updates_ns``: what each update was charged."""
        self._costs = costs
        self._updates_ns = deque(updates_ns)
        self._guesses = guesses
        self._source = source
        self._n_used = 0

    def __call__(self, decision: Decision) -> Cost:
        """The next recorded cost. Raises InputError when there is none left or the guesses differ."""
        if self._n_used == len(self._costs):
            raise InputError(
                f"{self._source}: holds {self._n_used} recorded inferences, but the run needs more: "
                "it was recorded from another run"
            )
        expected = list(self._guesses[self._n_used])
        is_counted = [n_proposed is not None for _, n_proposed in expected] + [True] * len(decision.answers)
        guesses = [
            (answer.predicted_key, len(answer.keys) if counted else None)
            for answer, counted in zip(decision.answers, is_counted, strict=False)
        ]
        if guesses != expected:
            raise InputError(
                f"{self._source}: inference {self._n_used} answered {expected} (best guess, proposals), but here it is "
                f"{guesses}: "
                "it was recorded from another run, or this machine's arithmetic differs"
            )
        self._n_used += 1
        return self._costs[self._n_used - 1]

    def of_update(self, update: Update) -> Update:
        """As it was charged then. Raises InputError if there were fewer of them."""
        if not self._updates_ns:
            raise InputError(f"{self._source}: the run has more updates than it: it was recorded from another run")
        return replace(update, charged_ns=self._updates_ns.popleft())

    def finish(self) -> None:
        """Raises InputError if latencies are left over: the recording was of another run."""
        if self._n_used != len(self._costs):
            raise InputError(
                f"{self._source}: holds {len(self._costs)} recorded inferences, but the run made "
                f"{self._n_used}: it was recorded from another run"
            )


class sampled:  # noqa: N801 - made like the other charges
    """Recorded latencies: drawn with replacement, or without a generator one after the other, over and over."""

    def __init__(self, recorded_ns: npt.NDArray[np.int64], rng: np.random.Generator | None) -> None:
        self._recorded_ns, self._rng = recorded_ns, rng
        self._n_used = 0

    def __call__(self, decision: Decision) -> Cost:
        """Whatever it took."""
        return Cost(int(self.draw(1)[0]), decision.host_ns, decision.device_ns, decision.cpu_ns)

    def draw(self, n: int) -> npt.NDArray[np.int64]:
        """The next ``n``: those that as many calls would draw one by one."""
        if self._rng is None:
            places = np.arange(self._n_used, self._n_used + n) % len(self._recorded_ns)
            self._n_used += n
        else:
            places = self._rng.integers(len(self._recorded_ns), size=n)
        return self._recorded_ns[places].astype(np.int64)
