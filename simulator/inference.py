"""The inference server: what a prediction costs, who waits for it, what is dropped (R13, R14, R16)."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from simulator.charge import Charge
from simulator.clock import Clock
from simulator.config import InferenceServer as ServerConfig
from simulator.policy import AccessRun, Answer, Policy, Told


class Status(StrEnum):
    """What became of a question."""

    ANSWERED = "answered"
    STALE = "stale"
    QUEUE_FULL = "queue_full"
    PENDING = "pending_at_end"


@dataclass(slots=True)
class Question:
    """One question and, in the end, its row in the ``inferences`` table; times in ns, -1 for never."""

    row: int
    access: int
    stream: int
    size: int
    asked_ns: int
    run: AccessRun | None = None
    waiter: Any = None
    batch: int = -1
    started_ns: int = -1
    ended_ns: int = -1
    charged_ns: int = 0
    host_ns: int = 0
    device_ns: int = 0
    answer: Answer | None = None
    status: Status = Status.PENDING
    n_issued: int = 0
    n_to_come: int = 0
    next_key: int | None = None


class InferenceServer:
    """Questions in, answers out after the time they are charged."""

    def __init__(
        self,
        clock: Clock,
        policy: Policy,
        config: ServerConfig,
        charge: Charge,
        *,
        answered: Callable[[Question], None],
        busy_changed: Callable[[bool], None],
    ) -> None:
        self._clock = clock
        self._policy = policy
        self._config = config
        self._charge = charge
        self._answered = answered
        self._busy_changed = busy_changed
        self._queue: deque[Question] = deque()
        self._n_busy = 0
        self._n_batches = 0
        self.told = Told()

    @property
    def is_full(self) -> bool:
        """Whether a question asked now would be dropped."""
        return self._n_busy == self._config.servers and len(self._queue) >= self._config.queue_limit

    def ask(self, question: Question) -> None:
        """Start on a question now or queue it; the caller has asked ``is_full``."""
        if self._n_busy < self._config.servers:
            self._start([question])
        else:
            self._queue.append(question)

    def _start(self, batch: list[Question]) -> None:
        if self.told.keys or self.told.n_polluted:
            told, self.told = self.told, Told()
            self._policy.told(told)
        decision = self._policy.decide([question.run for question in batch if question.run is not None])
        cost = self._charge(decision)
        for question, answer in zip(batch, decision.answers, strict=True):
            question.batch = self._n_batches
            question.started_ns = self._clock.now
            question.charged_ns, question.host_ns, question.device_ns = cost
            question.answer = answer
            question.run = None
        self._n_batches += 1
        if cost.charged_ns == 0:
            # No time passes, so no event either: the answer is there before anything else can happen.
            self._deliver(batch)
            return
        self._n_busy += 1
        if self._n_busy == 1:
            self._busy_changed(True)
        self._clock.after(cost.charged_ns, self._end, batch)

    def _end(self, event: Any) -> None:
        self._n_busy -= 1
        if self._n_busy == 0:
            self._busy_changed(False)
        self._deliver(event.value)
        while self._queue and self._n_busy < self._config.servers:
            n = min(self._config.batch_size, len(self._queue))
            self._start([self._queue.popleft() for _ in range(n)])

    def _deliver(self, batch: list[Question]) -> None:
        limit = self._config.stale_after
        for question in batch:
            question.ended_ns = self._clock.now
            is_stale = limit is not None and question.ended_ns - question.asked_ns > limit
            question.status = Status.STALE if is_stale else Status.ANSWERED
            self._answered(question)
