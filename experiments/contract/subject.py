"""A policy that rules are tried on: made anew as often as they like, with something to learn from if it learns."""

import copy
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

import numpy as np

from experiments.contract.process import Process
from experiments.contract.rules import Broken
from experiments.contract.stories import Step, in_words, smallest, steps_of
from policies.base import PolicySettings
from policies.given import Accesses, Built, Demand, Given
from policies.outside.asked import AskedPolicy
from simulator.errors import InputError, OutsideError, is_ours
from simulator.needs import ALWAYS_THERE, Columns
from simulator.policy import AccessRun, Ahead, Answer, Decision, Fate, Policy, Told, Trigger
from simulator.trace import Batch, make_batch

_N_TRAINED, _N_STREAMS = 1200, 5
_SLOW_NS, _FEWEST = 200_000, 4


def answers_of(policy: Policy, steps: Sequence[Step], show: Callable[[Any], Any] = lambda run: run) -> list[Answer]:
    """Ask question by question. Raises OutsideError as the policy does, with how many questions came before.

    ``show`` may change each run before it is shown.
    """
    found: list[Answer] = []
    wanted: deque[int] = deque(maxlen=1000)
    n_before = 0
    for step in steps:
        told = [(wanted.popleft(), fate) for fate in step.fates if wanted]
        try:
            if told or step.n_polluted:
                policy.told(Told([key for key, _ in told], [fate for _, fate in told], step.n_polluted))
            run = show(step.run(n_before, getattr(policy, "needs", ())))
            answer = policy.decide([run]).answers[0]
        except OutsideError as error:
            error.nth_question = len(found)
            raise
        found.append(answer)
        wanted.extend(answer.keys)
        n_before += len(step.keys)
    return found


class Subject:
    """What the rules are tried on, by its settings."""

    def __init__(self, settings: Any, who: str, class_: type | None = None) -> None:
        """``who`` it is, for messages; ``class_`` is the person's, whose instances may share what they should not."""
        self.settings, self.who = settings, who
        self.shared, self.process = Shared(class_), Process()

    def put_back(self) -> None:
        """The process and what instances share, as they were before anything was tried."""
        self.process.put_back()
        self.shared.restore()


class PolicySubject(Subject):
    """A policy by its settings."""

    def __init__(
        self, settings: PolicySettings, who: str, class_: type | None = None, trace: Batch | None = None
    ) -> None:
        """As the base; ``trace`` are accesses to try it on besides those that are made up."""
        super().__init__(settings, who, class_)
        self.trace = trace
        self.said: list[str] = []
        """What it printed."""

    def build(self, seed: int = 0) -> Policy:
        """A fresh one, trained if it learns.

        Raises:
            Broken: what it says of itself is wrong, or it asks for what no trace has.
            OutsideError: its constructor or its training fails.
        """
        try:
            built: Built = self.settings.build(self.given(seed))
            return built.policy
        except InputError as error:
            raise Broken(*error.args) from None

    def given(self, seed: int = 0) -> Given:
        """What it is built from: some thousand accesses of five streams, one of which is short."""
        return Given(
            self._sequences, seed, simulated=self._simulated, future=self._future, n_streams=_N_STREAMS,
            say=self.said.append,
        )  # fmt: skip

    @cached_property
    def _training(self) -> Batch:
        if self.trace is not None:
            return self.trace[:_N_TRAINED]
        n = np.arange(_N_TRAINED)
        cycle = np.array([3, 1, 4, 15, 9, 2, 6])
        stream = np.where(n < _N_TRAINED - 3, n % (_N_STREAMS - 1), _N_STREAMS - 1)
        return make_batch(cycle[n // (_N_STREAMS - 1) % len(cycle)] + 100 * stream, stream=stream, op=n % 5 == 4)

    def _with_features(self, batch: Batch, needs: Sequence[str]) -> Batch:
        if self.trace is not None:
            return batch
        made = {name: batch.key % np.uint64(8) for name in needs if name not in ALWAYS_THERE}
        return make_batch(
            batch.key, stream=batch.stream, op=batch.op, request=batch.request, size_bytes=batch.size_bytes,
            features=made,
        )  # fmt: skip

    def _sequences(self, per_stream: bool, needs: Sequence[str] = ()) -> list[Accesses]:
        from experiments.prepared import sequences_of

        batch = self._with_features(self._training, needs)
        return list(sequences_of(iter([batch]), per_stream=per_stream, needs=needs, who=self.who).values())

    def _simulated(self, per_stream: bool) -> dict[int, Any]:
        return {stream: part.keys for stream, part in enumerate(self._sequences(per_stream))}

    def _future(self) -> Demand:
        raise InputError(f"{self.who}: knows the future of its run, and there is none here; expected another policy")

    @cached_property
    def trigger(self) -> Trigger:
        """When it asks to be asked."""
        return self.build().trigger

    @cached_property
    def question_ns(self) -> float:
        """About what a question takes."""
        policy, steps = self.build(), steps_of(range(9), self.trigger)
        times = []
        for step in steps:
            run = step.run(0, getattr(policy, "needs", ()))
            started = time.perf_counter_ns()
            # Whether it fails is for rules to find out.
            with suppress(OutsideError):
                policy.decide([run])
            times.append(time.perf_counter_ns() - started)
        return float(np.median(times))

    def n_of(self, usual: int) -> int:
        """How many questions to ask where it is quick, and as few as it takes where it is slow."""
        return max(min(usual, int(usual * _SLOW_NS / self.question_ns)), _FEWEST)

    def asking_alone(self) -> Policy:
        """A policy that does nothing, asked as this one is: what it takes is the asking."""
        policy = self.build()
        nothing = _Nothing(policy.trigger, tuple(getattr(policy, "needs", ())))
        return policy.with_own(nothing) if isinstance(policy, AskedPolicy) else nothing

    def of_trace(self, n: int) -> list[Step]:
        """Questions over the first accesses of the trace."""
        assert self.trace is not None
        part = self.trace[:n]
        needs = getattr(self.build(), "needs", ())
        return steps_of(
            part.key.tolist(), self.trigger, streams=part.stream.tolist(), lengths=(1, 1, 3, 1, 7),
            columns=Columns(self.who, needs, 0).of(part), fates=tuple(Fate),
        )  # fmt: skip

    def must(self, steps: list[Step], fails: Callable[[list[Step]], Sequence[str] | None]) -> None:
        """Raise Broken, with the fewest questions that are found to fail, if ``fails`` says how these do."""
        found = fails(steps)
        if found is not None:
            fewest, lines = smallest(steps, found, fails)
            raise Broken(lines[0], in_words(fewest), *lines[1:])


def own_of(policy: Policy) -> Any:
    """The person's own object, where what is asked is ours around it."""
    return policy.own if isinstance(policy, AskedPolicy) else policy


class _Nothing:
    """Wants nothing, of one run or of a batch."""

    footprint_bytes, hears, ahead = 0, False, Ahead()

    def __init__(self, trigger: Trigger, needs: tuple[str, ...]) -> None:
        self.trigger, self.needs = trigger, needs

    def decide(self, runs: Any) -> Any:
        return [] if isinstance(runs, AccessRun) else Decision([Answer() for _ in runs])

    def told(self, told: Told) -> None:
        """It does not hear."""


def failing(it: PolicySubject, check: Callable[[Answer, int], str | None]) -> Callable[[list[Step]], list[str] | None]:
    """Says how a fresh policy fails on questions: with an error, or an answer that ``check`` finds wrong."""

    def fails(steps: list[Step]) -> list[str] | None:
        it.shared.restore()
        try:
            answers = answers_of(it.build(), steps)
        except OutsideError as error:
            return list(error.lines)
        for answer, step in zip(answers, steps, strict=True):
            wrong = check(answer, step.asking_key)
            if wrong is not None:
                return [f"{it.who}: {wrong}"]
        return None

    return fails


class Shared:
    """What all instances of a class share: attributes of classes, and what is named in their modules."""

    _KINDS = (list, dict, set, bytearray, deque, np.ndarray, int, float, np.random.Generator, np.random.RandomState)

    def __init__(self, class_: type | None) -> None:
        classes = [] if class_ is None else [one for one in class_.__mro__ if _top(one) == _top(class_)]
        modules = [sys.modules[one.__module__] for one in classes if one.__module__ in sys.modules]
        # Ours share what is theirs to share, such as code that is compiled once.
        self._owners: list[Any] = [*classes, *dict.fromkeys(one for one in modules if not is_ours(one.__file__ or "<"))]
        self._at_first = self.copy()

    def copy(self) -> dict[tuple[Any, str], Any]:
        """Its values, by owner and name."""
        found = {}
        for owner in self._owners:
            for name, value in list(vars(owner).items()):
                if not name.startswith("__") and isinstance(value, self._KINDS) and not isinstance(value, bool):
                    try:
                        found[owner, name] = copy.deepcopy(value)
                    except Exception:
                        continue
        return found

    def restore(self) -> None:
        """As it was before anything was asked."""
        for (owner, name), value in self._at_first.items():
            setattr(owner, name, copy.deepcopy(value))

    def changed(self) -> list[str]:
        """The names of what has changed since."""
        now = self.copy()
        return [
            f"{owner.__name__.rpartition('.')[2]}.{name}" if isinstance(owner, type) else name
            for (owner, name), value in now.items()
            if repr(value) != repr(self._at_first.get((owner, name)))
        ]


def _top(class_: type) -> str:
    return class_.__module__.partition(".")[0]
