"""What policies have in common: settings that build them, and the walk through the accesses that they are shown."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from policies.given import Built, Given, Keys
from simulator.answers import LEARN, WANT, WRITTEN, answer, answer_each, hear
from simulator.arrays import Ints, signed
from simulator.compiled import address_of, c_address
from simulator.plugins import PluginSettings
from simulator.policy import AccessRun, Ahead, Answer, Decision, Outcome, Table, Told, Trigger
from simulator.records.rows import ShownRow
from simulator.trace import WRITE

N_KEYS = 2**64
TriggerName = Literal["miss", "tagged", "access"]
Degree = Annotated[int, Field(ge=1, le=2**16)]
"""How many blocks one answer may have, or how many steps it takes to find them."""

_TAGGED, _MISS = int(Trigger.TAGGED), int(Trigger.MISS)
_HIT, _HIT_PREFETCHED = int(Outcome.HIT), int(Outcome.HIT_PREFETCHED)


class PolicySettings(PluginSettings):
    """The settings of a policy. The first line of a subclass's docstring is what ``tierfetch policies`` lists."""

    def build(self, given: Given) -> Built:
        """A fresh policy for one run."""
        raise NotImplementedError

    def check(self) -> None:
        """Find out before any run what the policy needs of the machine. Raises InputError if it is not there."""

    @property
    def asks_for(self) -> tuple[str, ...]:
        """Columns of the trace that its settings name, so that one that is missing is found out before any run."""
        return ()

    def prepare(self, given: Given) -> None:
        """Do what ``build`` may find done: what is learned is kept, so that it can be learned beside other runs."""

    @property
    def core(self) -> "PolicySettings":
        """The policy that decides: this one, or the one that it wraps."""
        return self

    @property
    def follows_streams(self) -> bool:
        """Whether it takes a stream's requests to come one after another: not where many run at a time (rule R45)."""
        return False

    @property
    def is_asked_at_arrivals(self) -> bool:
        """Whether it is asked when requests arrive, which they do where they have a life (rule R45)."""
        return False

    @property
    def learns(self) -> bool:
        """Whether it is trained on the first part of the trace before the run."""
        return False

    @property
    def is_measured(self) -> bool:
        """Whether each call's own time is charged where a config does not say what is."""
        return self.learns

    def working(self) -> dict[str, Any]:
        """What the work of one inference depends on; empty for a policy that makes none.

        Recorded latencies are drawn only where this is the same.
        """
        return {}

    def unrestrained(self) -> "PolicySettings":
        """The same, holding nothing back: for who judges its guesses by itself."""
        return self

    def backends(self) -> list[str]:
        """What can run it here, by name; empty for a policy that has no such choice."""
        return []

    def run_by(self, backend: str) -> Self:
        """The same, run by a backend, a call for each question."""
        return self.model_copy(update={"backend": backend})

    def beforehand(self) -> Self:
        """The same answers, made before the run where that can be and no call's time is charged."""
        return self

    @property
    def untimed(self) -> str:
        """Why no call of it can be charged as measured; empty if it can."""
        return ""

    @property
    def times_updates(self) -> bool:
        """Whether it learns while it runs, and what that takes is charged as measured."""
        return False

    @property
    def brings_latencies(self) -> bool:
        """Whether its answers come with recorded latencies of their own, which ``replay`` charges."""
        return False


class TableSettings(PolicySettings):
    """The settings of a policy that learns as it goes: it may have learned before."""

    start: Literal["cold", "warm"] = "cold"
    """Whether its tables begin empty, or with what the training part teaches, each access shown as a miss (`warm`)."""

    @model_serializer(mode="wrap")
    def _without_usual(self, described: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Experiments that were made before there was such a setting are the same ones.
        found: dict[str, Any] = described(self)
        if self.start == "cold":
            del found["start"]
        return found

    @property
    def learns(self) -> bool:
        """Whether its tables are warmed."""
        return self.start == "warm"

    @property
    def is_measured(self) -> bool:
        """A look-up."""
        return False

    @property
    def can_be_measured(self) -> bool:
        """Whether what asking it takes is charged where somebody wants it measured; a look-up takes nothing."""
        return False

    def fresh(self, given: Given) -> Built:
        """A policy for one run, whose tables are empty."""
        raise NotImplementedError

    def build(self, given: Given) -> Built:
        """A policy for one run."""
        built = self.fresh(given)
        if self.start == "warm":
            warm(built.policy, given)
        return built


def warm(policy: Any, given: Given) -> None:
    """Show a table policy the accesses of the training part, of all streams in order, and ask it after each.

    What it wants is not fetched, and no fate comes of it. Raises InputError where the trace cannot be read.
    """
    for accesses in given.sequences(False, ("stream",)):
        policy.learn_all(accesses.keys, accesses.columns["stream"], accesses.writes)


class TablePolicy(ABC):
    """Learns from each access of its trigger, in order, and answers about the last.

    A policy that is asked at misses learns from misses alone: the stream that its paper calls the miss stream.
    Confidences are 1 where the policy has none.
    """

    footprint_bytes = 0
    ahead = Ahead()
    recalls = True
    needs: tuple[str, ...] = ()
    """Columns that it asks for: ``decide`` finds them in its runs."""

    def __init__(self, trigger: TriggerName) -> None:
        self.trigger = Trigger[trigger.upper()]
        self.hears = type(self).told is not TablePolicy.told
        # The outcomes above this one are the trigger's.
        self._above = {_TAGGED: _HIT, _MISS: _HIT_PREFETCHED}.get(int(self.trigger), -1)

    @abstractmethod
    def learn(self, key: int, stream: int, outcome: int) -> None:
        """An access of the trigger."""

    @abstractmethod
    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        """Blocks wanted, most wanted first, with a confidence each; ``key`` was learned just now."""

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """One answer a run; keys beyond the ends of the key space are left out."""
        return Decision([self._answer(run) for run in runs])

    def _answer(self, run: AccessRun) -> Answer:
        for key, stream, outcome in zip(run.key.tolist(), run.stream.tolist(), run.outcome.tolist(), strict=True):
            if outcome > self._above:
                self.learn(key, stream, outcome)
        key, stream = run.asking
        within = [(guess, confidence) for guess, confidence in self.want(key, stream) if 0 <= guess < N_KEYS]
        return answer_of(within, key)

    def learn_all(self, keys: Keys, streams: npt.NDArray[np.uint32], writes: npt.NDArray[np.bool_]) -> None:
        """Accesses (n,), each as a miss, and asked about."""
        for key, stream in zip(keys.tolist(), streams.tolist(), strict=True):
            self.learn(key, stream, int(Outcome.MISS))
            self.want(key, stream)

    def told(self, told: Told) -> None:  # noqa: B027 - a policy may learn from fates, and need not
        """Learns nothing from fates, unless a policy overrides this."""


def answer_of(wanted: Iterable[tuple[int, float]], asking: int) -> Answer:
    """The answer that wants these: each key once, where it is wanted most, and not the one that asks."""
    found: dict[int, float] = {}
    for key, confidence in wanted:
        if key != asking:
            found.setdefault(key, confidence)
    if not found:
        return Answer()
    keys = list(found)
    return Answer(keys, list(found.values()), keys[0], found[keys[0]])


def sure(keys: Sequence[int]) -> list[tuple[int, float]]:
    """Guesses of a policy that has no confidences."""
    return [(key, 1.0) for key in keys]


def shown_of(run: AccessRun, table: Table) -> Ints:
    """The accesses of a run as rows of what a table is shown (ShownRow). Without a column ``op`` all are reads."""
    outcomes = run.outcome.astype(np.int64)
    if table.sees_writes and "op" in run.columns:
        outcomes |= np.where(run["op"] == WRITE, WRITTEN, 0)
    return _rows(np.asarray(run.key, np.uint64), run.stream, outcomes)


def _rows(keys: Keys, streams: npt.NDArray[Any], outcomes: npt.NDArray[np.int64]) -> Ints:
    """As compiled code has them; of their numbers nothing is known, and no table sees those."""
    rows = np.zeros(len(keys), ShownRow.dtype)
    rows["key"], rows["stream"], rows["outcome"] = keys.view(np.int64), streams, outcomes
    return rows.view(np.int64)


def show_all(table: Table, keys: Keys, streams: npt.NDArray[np.uint32], writes: npt.NDArray[np.bool_]) -> None:
    """Show a table accesses (n,), each as a miss, and ask it after each; what it wants is let go."""
    outcomes = np.where(writes & table.sees_writes, Outcome.MISS | WRITTEN, Outcome.MISS).astype(np.int64)
    shown = _rows(keys, streams, outcomes)
    # A learned one writes its best guess behind what it wants.
    wanted, sure = np.zeros(table.most_wanted + 1, np.int64), np.zeros(table.most_wanted + 1)
    answer_each(
        address_of(table.state), table.learn, table.want, address_of(shown), len(keys), address_of(wanted),
        address_of(sure),
    )  # fmt: skip


def experts_of(table: Table, n: int) -> list[int]:
    """Which experts named the ``n`` blocks of the last answer; nothing if it has none."""
    return [] if table.experts is None else table.experts[:n].tolist()


class CompiledPolicy:
    """As TablePolicy, with rules that are compiled, so that a run asks it without Python.

    It is two plain functions over a state, as ``simulator.answers`` has them: ``learn`` and ``want``. The engine asks
    these; ``decide`` answers the same, for who wraps the policy.
    """

    footprint_bytes = 0
    recalls = True
    needs: tuple[str, ...] = ()
    kept: Any = None
    """What its state knows by addresses, where somebody else has made that."""

    def __init__(
        self,
        trigger: TriggerName,
        state: Ints,
        learn: Any,
        want: Any,
        most_wanted: int,
        ahead: Ahead | None = None,
        hears: bool = False,
        sees_writes: bool = False,
        experts: Ints | None = None,
    ) -> None:
        """``most_wanted`` bounds how many blocks ``want`` writes; ``ahead`` is what its best guess is about.

        A policy that ``hears`` learns from fates, too; to one that ``sees_writes`` outcomes say what is written. One
        with experts writes which of them named each block into ``experts``.
        """
        self.trigger = Trigger[trigger.upper()]
        self.ahead = ahead or Ahead()
        self.hears = hears
        # The outcomes above this one are the trigger's.
        self._above = {_TAGGED: _HIT, _MISS: _HIT_PREFETCHED}.get(int(self.trigger), -1)
        self.table = Table(
            state,
            c_address(LEARN, learn),
            c_address(WANT, want),
            most_wanted,
            hears,
            sees_writes=sees_writes,
            experts=experts,
        )
        if sees_writes:
            self.needs = (*self.needs, "op")
        self._keys: Ints = np.zeros(most_wanted, np.int64)
        self._confidences = np.zeros(most_wanted)

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """One answer a run; keys beyond the ends of the key space are left out."""
        return Decision([self._answer(run) for run in runs])

    def _answer(self, run: AccessRun) -> Answer:
        table = self.table
        shown = shown_of(run, table)
        key, stream = run.asking
        n = answer(
            address_of(table.state), table.learn, table.want, address_of(shown), len(run), self._above, signed(key),
            stream, address_of(self._keys), address_of(self._confidences),
        )  # fmt: skip
        if n == 0:
            return Answer()
        wanted, confidences = self._keys[:n].view(np.uint64).tolist(), self._confidences[:n].tolist()
        return Answer(wanted, confidences, wanted[0], confidences[0], experts_of(table, n))

    def learn_all(self, keys: Keys, streams: npt.NDArray[np.uint32], writes: npt.NDArray[np.bool_]) -> None:
        """Accesses (n,), each as a miss, and asked about."""
        show_all(self.table, keys, streams, writes)

    def told(self, told: Told) -> None:
        """Learns from fates if it hears of them."""
        if self.table.hears:
            news = np.array([(signed(key), fate) for key, fate in zip(told.keys, told.fates, strict=True)], np.int64)
            hear(address_of(self.table.state), self.table.learn, address_of(news), len(told.keys), told.n_polluted)
