"""A person's policy as the engine asks one: its answers are checked, its deciding is timed."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from operator import index
from typing import Any

from policies.base import N_KEYS, CompiledPolicy, TablePolicy, answer_of
from simulator.errors import InputError, OutsideError, text_of
from simulator.policy import AccessRun, Ahead, Answer, Decision, Told, Trigger
from simulator.watched import Watched

MOST_WANTED = 2**16
"""How many blocks one answer may have."""
_TRIGGERS = ", ".join(trigger.name.lower() for trigger in Trigger)


def trigger_of(policy: Any, who: str) -> Trigger:
    """When it is asked: its ``trigger``, a name or a Trigger; at every access if it has none.

    Raises InputError if it is neither.
    """
    said = getattr(policy, "trigger", Trigger.ACCESS)
    if isinstance(said, str) and said.upper() in Trigger.__members__:
        return Trigger[said.upper()]
    if isinstance(said, Trigger):
        return said
    raise InputError(f"{who}: trigger is {said!r}; expected one of {_TRIGGERS}")


def needs_of_class(policy: Any, who: str) -> tuple[str, ...]:
    """The columns that it asks for: its ``needs``. Raises InputError if they are no names."""
    said = getattr(policy, "needs", ())
    if isinstance(said, str) or not (isinstance(said, Iterable) and all(isinstance(name, str) for name in said)):
        raise InputError(f'{who}: needs is {said!r}; expected names of columns such as ("op", "pc")')
    return tuple(said)


class AskedPolicy:
    """A policy whose ``decide`` takes one run and returns ``(key, confidence)`` pairs, or our own kinds of policy.

    What is optional: ``trigger``, ``needs``, ``footprint_bytes``, ``ahead`` (an Ahead), ``recalls``, ``told(told)``.
    """

    def __init__(self, policy: Any, watched: Watched) -> None:
        """Raises InputError if what it says of itself is wrong."""
        who = watched.who
        self.trigger, self.needs = trigger_of(policy, who), needs_of_class(policy, who)
        self.ahead = getattr(policy, "ahead", Ahead())
        self.footprint_bytes = getattr(policy, "footprint_bytes", 0)
        if not isinstance(self.ahead, Ahead):
            raise InputError(f"{who}: ahead is {self.ahead!r}; expected an Ahead(accesses, of_stream)")
        if isinstance(self.footprint_bytes, bool) or not isinstance(self.footprint_bytes, int):
            raise InputError(f"{who}: footprint_bytes is {self.footprint_bytes!r}; expected a whole number")
        if self.footprint_bytes < 0:
            raise InputError(f"{who}: footprint_bytes is {self.footprint_bytes}; expected 0 or more")
        self._policy, self._watched = policy, watched
        self._is_ours = isinstance(policy, TablePolicy | CompiledPolicy)
        self.recalls = bool(getattr(policy, "recalls", False))
        if isinstance(policy, CompiledPolicy):
            if policy.table.most_wanted < 1:
                raise InputError(f"{who}: most_wanted is {policy.table.most_wanted}; expected 1 or more")
            self.table = policy.table
        self._told: Callable[[Told], Any] | None = getattr(policy, "told", None)
        self.hears = self._told is not None and bool(getattr(policy, "hears", True))
        # What hearing of fates took is part of the next decision.
        self._owed_ns = self._owed_cpu_ns = 0

    @property
    def own(self) -> Any:
        """The person's object."""
        return self._policy

    def with_own(self, policy: Any) -> "AskedPolicy":
        """Another one, asked just as this one is."""
        return AskedPolicy(policy, self._watched)

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """Answer a batch of questions, oldest first.

        Raises:
            OutsideError: the policy failed, or its answer is none.
        """
        total_ns, cpu_ns = self._owed_ns, self._owed_cpu_ns
        self._owed_ns = self._owed_cpu_ns = 0
        if self._is_ours:
            found, taken_ns, taken_cpu_ns = self._watched.call(self._policy.decide, runs)
            checked = found.answers
            if isinstance(self._policy, TablePolicy):
                checked = self._all_checked(runs, found.answers)
            return Decision(checked, total_ns + taken_ns, cpu_ns=cpu_ns + taken_cpu_ns)
        answers = []
        for run in runs:
            try:
                found, taken_ns, taken_cpu_ns = self._watched.call(self._list, run)
                answers.append(self._checked(found, run.asking[0]))
            except OutsideError as error:
                error.nth_question = len(answers)
                raise
            total_ns += taken_ns
            cpu_ns += taken_cpu_ns
        return Decision(answers, total_ns, cpu_ns=cpu_ns)

    def _all_checked(self, runs: Sequence[AccessRun], found: Sequence[Answer]) -> list[Answer]:
        """The answers of a table in Python, whose ``want`` is a person's own."""
        answers: list[Answer] = []
        for run, answer in zip(runs, found, strict=True):
            try:
                pairs = list(zip(answer.keys, answer.confidences, strict=True))
                answers.append(self._checked(pairs, run.asking[0]))
            except OutsideError as error:
                error.nth_question = len(answers)
                raise
        return answers

    def _list(self, run: AccessRun) -> Any:
        """Its answer, drawn out of a generator while the clock runs."""
        found = self._policy.decide(run)
        return found if type(found) in (list, tuple, type(None)) else list(islice(found, MOST_WANTED + 1))

    def _checked(self, found: Any, last_key: int) -> Answer:
        if not found:
            if found is None:
                raise self._wrong("None", "a list of (key, confidence), [] if it wants none")
            return Answer()
        if len(found) > MOST_WANTED:
            n = str(len(found)) if isinstance(found, list) and len(found) != MOST_WANTED + 1 else "too many"
            raise self._wrong(f"{n} blocks", f"at most {MOST_WANTED}")
        wanted: list[tuple[int, float]] = []
        for one in found:
            try:
                key, confidence = one
                key, confidence = key if type(key) is int else index(key), float(confidence)
            except Exception:
                expected = "a pair: a key (a whole number) and a confidence (0 to 1)"
                raise self._wrong(text_of(one, repr), expected) from None
            if not 0 <= key < N_KEYS:
                raise self._wrong(f"key {key}", "0 or more, and less than 2**64")
            if not 0 <= confidence <= 1:
                raise self._wrong(f"confidence {confidence} for key {key}", "0 to 1")
            wanted.append((key, confidence))
        return answer_of(wanted, last_key)

    def _wrong(self, got: str, expected: str) -> OutsideError:
        return OutsideError(f"{self._watched.who}: decide returned {got}; expected {expected}")

    def told(self, told: Told) -> None:
        """Pass on the fates of what it asked for, if it wants to hear of them."""
        if self._told is not None:
            _, taken_ns, taken_cpu_ns = self._watched.call(self._told, told)
            self._owed_ns += taken_ns
            self._owed_cpu_ns += taken_cpu_ns
