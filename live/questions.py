"""Questions to a policy in the real world: what waits, who is answered first, what is shown (rules R12, R14, R16)."""

from collections import deque
from dataclasses import dataclass
from threading import Lock
from typing import Any, cast

import numpy as np

from live.moves import Access
from simulator.charge import Cost
from simulator.config import InferenceServer
from simulator.ledger.questions import QuestionLog
from simulator.needs import ALWAYS_THERE, needs_of
from simulator.policy import AccessRun, Answer, Outcome, Policy, Status, Trigger, recalls

MOST_UNSEEN = 1 << 16
"""Accesses that wait to be shown; of more the oldest are not shown at all."""
_ASKS = {
    Trigger.MISS: frozenset({Outcome.LATE, Outcome.MERGED, Outcome.MISS}),
    Trigger.TAGGED: frozenset(Outcome) - {Outcome.HIT},
    Trigger.ACCESS: frozenset(Outcome),
}
_NOTHING = frozenset[Outcome]()
_NO_COST, _NO_ANSWER = Cost(0, 0, 0, 0), Answer()


@dataclass(slots=True, eq=False)
class Question:
    """One question, from the access that asks to what came of it, with the fields that a ``QuestionLog`` reads."""

    row: int
    access: Access
    asked_ns: int
    shown_end: int = 0
    status: Status = Status.PENDING_AT_END
    batch: int = -1
    started_ns: int = -1
    ended_ns: int = -1
    cost: Cost = _NO_COST
    answer: Answer = _NO_ANSWER
    n_at_once: int = 0
    n_issued: int = 0
    is_waiting: bool = False
    next_key: int | None = None
    gate: Any = None
    """Where the access waits for its answer, in ``sync`` mode."""


class Questions:
    """Whoever calls anything of it holds the engine's lock."""

    def __init__(self, policy: Policy, settings: InferenceServer, log: QuestionLog) -> None:
        self.settings, self._log, self.needs = settings, log, needs_of(policy)
        self._asks = _ASKS.get(policy.trigger, _NOTHING)
        table = getattr(policy, "table", None)
        # Other tables learn from accesses of their trigger alone.
        self._shows = frozenset(Outcome) if table is None or table.is_learned else self._asks
        self._is_asked = bool(self._asks)
        self._supersedes = settings.queue == "newest_first" and settings.mode != "sync"
        self._takes_newest = self._supersedes and recalls(policy)
        self._waiting: list[Question] = []
        self._of_stream: dict[int, Question] = {}
        self._unseen: deque[tuple[int, ...]] = deque()
        self._positions: dict[int, tuple[int, int]] = {}
        self._n_seen = self.n_forgotten = self.n_superseded = self.n_full = 0
        self.is_busy = False
        """Whether a batch is being answered."""
        self._taken: Question | None = None

    @property
    def n_waiting(self) -> int:
        """Questions that are not being answered yet."""
        return len(self._waiting) + (self._taken is not None)

    @property
    def n_asked(self) -> int:
        """Questions so far, dropped ones too."""
        return self._log.n_asked

    def remember(self, access: Access, size: int, features: dict[str, int] | None) -> bool:
        """An access will be shown to the policy; whether it puts a question."""
        self._log.judge(cast("Any", access))
        if "position" in self.needs:
            last, position = self._positions.get(access.stream, (-1, -1))
            self._positions[access.stream] = access.request, position + 1 if last == access.request else 0
        if access.outcome in self._shows:
            shown: tuple[int, ...] = access.key, access.stream, access.outcome
            if self.needs:
                shown += tuple(self._column(name, access, size, features or {}) for name in self.needs)
            self._unseen.append(shown)
            if len(self._unseen) > MOST_UNSEEN:
                self._unseen.popleft()
                self._n_seen += 1
                self.n_forgotten += 1
        return access.outcome in self._asks

    def _column(self, name: str, access: Access, size: int, features: dict[str, int]) -> int:
        known = {
            "access": access.index, "op": access.op, "size_bytes": size, "time_ns": access.issued_ns,
            "request": access.request, "position": self._positions.get(access.stream, (0, 0))[1],
        }  # fmt: skip
        return known[name] if name in known else features[name]

    def new(self, access: Access, now_ns: int) -> Question:
        """A question about the access just remembered, which is not put yet."""
        return Question(self._log.n_asked, access, now_ns)

    def ask(self, question: Question) -> bool:
        """Put it; False if the queue is full: it is dropped."""
        settings, stream = self.settings, question.access.stream
        if self._supersedes and stream in self._of_stream:
            older = self._of_stream.pop(stream)
            self._waiting.remove(older)
            older.status = Status.SUPERSEDED
            self.n_superseded += 1
            self._log.supersede(cast("Any", older))
        question.row = self._log.n_asked
        is_free = not (self.is_busy or self._taken or self._waiting)
        if len(self._waiting) + (self.is_busy or self._taken is not None) > settings.queue_limit:
            question.status = Status.QUEUE_FULL
            self.n_full += 1
        else:
            question.shown_end = self._n_seen + len(self._unseen)
            if is_free:
                # Who is free takes it up at once (rule R13), though the thread wakes up later: nothing supersedes it.
                self._taken = question
            else:
                self._waiting.append(question)
                if self._supersedes:
                    self._of_stream[stream] = question
            if settings.mode == "sync":
                question.gate = Lock()
                question.gate.acquire()
        self._log.ask(cast("Any", question))
        return question.status != Status.QUEUE_FULL

    def take(self) -> tuple[list[Question], list[AccessRun]]:
        """The batch that is answered next, with what it is shown."""
        if self._taken is not None:
            question, self._taken = self._taken, None
            return [question], [self._run(question)]
        end = -1 if self._takes_newest else 0
        batch = [self._waiting.pop(end) for _ in range(min(self.settings.batch_size, len(self._waiting)))]
        for question in batch:
            self._of_stream.pop(question.access.stream, None)
        batch.sort(key=lambda question: question.row)
        return batch, [self._run(question) for question in batch]

    def _run(self, question: Question) -> AccessRun:
        new = [self._unseen.popleft() for _ in range(question.shown_end - self._n_seen)]
        self._n_seen += len(new)
        key, stream, outcome, *others = zip(*new, strict=True) if new else [()] * (3 + len(self.needs))
        asking = question.access.key, question.access.stream
        columns = {
            name: np.array(values, ALWAYS_THERE.get(name, np.uint64))
            for name, values in zip(self.needs, others, strict=True)
        }
        about = None if new else asking
        return AccessRun(
            np.array(key, np.uint64), np.array(stream, np.uint32), np.array(outcome, np.uint8), columns, about
        )

    def finish(self, question: Question, status: Status) -> None:
        """What it wanted is sent for: it is over."""
        question.status = status
        self._log.finish(cast("Any", question))

    def give_up(self) -> list[Question]:
        """Nobody will answer those that wait."""
        waiting, self._waiting = [*self._waiting, *filter(None, [self._taken])], []
        self._taken = None
        self._of_stream.clear()
        self._unseen.clear()
        return waiting
