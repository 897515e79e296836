"""A conversation's blocks come back when its next turn is due, as who serves agents and chats may try.

While somebody reads and writes, or a tool runs, the blocks of a conversation are pushed out of the GPU's memory; its
next turn needs all of them again. This policy learns, from turn to turn and over all sessions, how long they pause:
from a session's last access to the first read of its next request. A session that has paused nearly as long as
``quantile`` of them did is due: what its last turn has read and written since is wanted, the first blocks first.
Nothing says whether there is another turn at all: the confidence is the share of those that were due and came back.

A policy is asked at accesses alone, so it acts at those of other sessions: where nobody else comes, nothing is sent
for. Its times are arrivals (``time_ns``), which in a closed loop are the trace's own and say nothing of when an access
comes. Left out: pauses of each session by itself; keeping blocks where a pause is short.
"""

import time
from bisect import bisect_left, insort
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from policies.base import PolicySettings, TriggerName, answer_of
from policies.given import Built, Given
from simulator.config import Count, Nanoseconds
from simulator.policy import AccessRun, Ahead, Answer, Decision, Told, Trigger
from simulator.trace import WRITE

_STREAM = "stream"


class NextTurnConfig(PolicySettings):
    """A session's blocks, once it has paused about as long as sessions do before their next turn."""

    kind: Literal["next_turn"]
    quantile: Annotated[float, Field(gt=0, lt=1)] = 0.4
    """Share of the pauses so far that were shorter than what is waited: less is sooner, more misses fewer turns."""
    lead: Nanoseconds = Field("1 s", validate_default=True)
    """So long before that its blocks are sent for."""
    session: str = "session"
    """The feature that tells sessions apart; or `stream`: each stream is one."""
    degree: Annotated[int, Field(ge=1, le=4096)] = 64
    """Blocks of an answer; what is left of those that are due comes with the next question's."""
    sessions: Count = 4096
    """Sessions that are remembered, those that came last."""
    pauses: Count = 1024
    """Pauses that are remembered, the last ones."""
    trigger: TriggerName = "access"
    """When it is asked: at every `access`, at a `miss`, or `tagged`: at misses and first uses of prefetched blocks."""

    @property
    def is_measured(self) -> bool:
        """A question takes what its sessions take: there is no table that answers in no time."""
        return True

    @property
    def asks_for(self) -> tuple[str, ...]:
        """What tells sessions apart, and when they are there."""
        return ("op", "request", "time_ns", *(() if self.session == _STREAM else (self.session,)))

    def build(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(NextTurnPolicy(self))


class _Session:
    """Which request it read last, the blocks of its turn, when it was there last, and whether it was due since."""

    __slots__ = ("is_due", "keys", "last_ns", "request")

    def __init__(self, request: int, ns: int) -> None:
        self.request, self.last_ns, self.is_due = request, ns, False
        self.keys: list[int] = []


class NextTurnPolicy:
    """Sessions, those that pause in the order of their last accesses, those that are due, and how long pauses were."""

    footprint_bytes = 0
    ahead = Ahead(of_stream=False)
    hears = recalls = False

    def __init__(self, config: NextTurnConfig) -> None:
        self.trigger = Trigger[config.trigger.upper()]
        self.needs = config.asks_for
        self._config = config
        self._sessions: OrderedDict[int, _Session] = OrderedDict()
        self._pausing: OrderedDict[int, None] = OrderedDict()
        # How many blocks of each were asked for already.
        self._due: OrderedDict[int, int] = OrderedDict()
        self._pauses: deque[int] = deque()
        self._sorted: list[int] = []
        self._now_ns = self._n_due = self._n_back = 0

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """One answer a run, and how long they took."""
        cpu, start = time.thread_time_ns(), time.perf_counter_ns()
        answers = [self._answer(run) for run in runs]
        host_ns = time.perf_counter_ns() - start
        return Decision(answers, host_ns, cpu_ns=time.thread_time_ns() - cpu)

    def _answer(self, run: AccessRun) -> Answer:
        columns = (run.key, run["time_ns"], run["op"], run["request"], run[self._config.session])
        for key, ns, op, request, number in zip(*(column.tolist() for column in columns), strict=True):
            self._see(key, ns, op == WRITE, request, number)
        self._find_due()
        confidence = (self._n_back + 1) / (self._n_due + 2)
        return answer_of([(key, confidence) for key in self._next()], run.asking[0])

    def _see(self, key: int, ns: int, is_written: bool, request: int, number: int) -> None:
        session = self._sessions.get(number)
        if session is None:
            session = self._sessions[number] = _Session(request, ns)
            if len(self._sessions) > self._config.sessions:
                gone, _ = self._sessions.popitem(last=False)
                self._pausing.pop(gone, None)
                self._due.pop(gone, None)
        elif not is_written and request != session.request:
            self._learn(ns - session.last_ns)
            self._n_back += session.is_due
            session.request, session.keys = request, []
        session.keys.append(key)
        session.last_ns, session.is_due = ns, False
        self._now_ns = max(self._now_ns, ns)
        self._sessions.move_to_end(number)
        self._pausing[number] = None
        self._pausing.move_to_end(number)
        self._due.pop(number, None)

    def _learn(self, pause_ns: int) -> None:
        self._pauses.append(pause_ns)
        insort(self._sorted, pause_ns)
        if len(self._pauses) > self._config.pauses:
            del self._sorted[bisect_left(self._sorted, self._pauses.popleft())]

    def _find_due(self) -> None:
        """Those that have paused long enough, and not only since the access that asks."""
        if not self._sorted:
            return
        waited_ns = max(1, self._sorted[int(self._config.quantile * len(self._sorted))] - self._config.lead)
        while self._pausing:
            number = next(iter(self._pausing))
            session = self._sessions[number]
            if self._now_ns - session.last_ns < waited_ns:
                return
            del self._pausing[number]
            self._due[number], session.is_due = 0, True
            self._n_due += 1

    def _next(self) -> list[int]:
        """The next blocks of sessions that are due, those first that were due first."""
        found: list[int] = []
        while self._due and len(found) < self._config.degree:
            number, n_before = next(iter(self._due.items()))
            keys = self._sessions[number].keys
            end = n_before + self._config.degree - len(found)
            found += keys[n_before:end]
            if end < len(keys):
                self._due[number] = end
            else:
                del self._due[number]
        return found

    def told(self, told: Told) -> None:
        """Learns nothing from fates."""
