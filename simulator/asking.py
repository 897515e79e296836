"""From accesses to questions: what a policy is shown, and the record of every inference (R12, R14, R16)."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from simulator.accounting import Books
from simulator.charge import Charge
from simulator.clock import Clock
from simulator.config import InferenceServer as ServerConfig
from simulator.distribution import Distribution
from simulator.inference import InferenceServer, Question, Status
from simulator.kernel import L_AT, L_OUTCOME, NOT_CLOSED
from simulator.policy import AccessRun, Fate, Policy
from simulator.trace import Batch

INFERENCE_COLUMNS = (
    "inference",
    "batch",
    "access",
    "stream",
    "status",
    "asked_ns",
    "started_ns",
    "ended_ns",
    "charged_ns",
    "host_ns",
    "device_ns",
    "predicted_key",
    "confidence",
    "next_key",
    "came_true",
    "n_proposed",
    "n_issued",
)
_FLUSH_AT = 1 << 14
_ANY = -1

Log = npt.NDArray[np.int64]


class Asking:
    """The policy's window on the accesses, and the inference server behind it."""

    def __init__(
        self,
        clock: Clock,
        policy: Policy,
        config: ServerConfig,
        charge: Charge,
        books: Books,
        answered: Callable[[Question], None],
        busy_changed: Callable[[bool], None],
    ) -> None:
        self._clock = clock
        self._books = books
        self._server = InferenceServer(
            clock, policy, config, charge, answered=answered, busy_changed=busy_changed
        )  # fmt: skip
        self._kept: list[AccessRun] = []
        self._n_shown = 0
        self._ahead = policy.ahead
        self._waiting: dict[int, list[Question]] = {}
        self._records: list[Question] = []
        self.n_asked = 0
        self.n_status = dict.fromkeys(Status, 0)
        self.n_came_true = 0
        self.n_predicted = 0
        self.charged = Distribution()
        self.host = Distribution()

    def ask(self, access: int, stream: int, size: int, waiter: Any, log: Log, batch: Batch) -> bool:
        """Put a question about the last access of the log; False if the queue is full and it is dropped."""
        question = Question(self.n_asked, access, stream, size, self._clock.now)
        self.n_asked += 1
        self._records.append(question)
        if self._server.is_full:
            question.status = Status.QUEUE_FULL
            return False
        question.waiter = waiter
        question.run = self._run(log, batch)
        question.n_to_come = self._ahead.accesses
        self._waiting.setdefault(stream if self._ahead.of_stream else _ANY, []).append(question)
        self._server.ask(question)
        if len(self._records) >= _FLUSH_AT:
            self._flush(keep_open=True)
        return True

    def _run(self, log: Log, batch: Batch) -> AccessRun:
        """The accesses since the last question."""
        new = self._cut(log, batch)
        run = new
        if self._kept:
            parts = [*self._kept, new]
            run = AccessRun(
                *(np.concatenate([getattr(p, name) for p in parts]) for name in ("key", "stream", "outcome"))
            )
            self._kept.clear()
        self._n_shown = len(log)
        return run

    def _cut(self, log: Log, batch: Batch) -> AccessRun:
        at = log[self._n_shown :, L_AT]
        outcome = (log[self._n_shown :, L_OUTCOME] % NOT_CLOSED).astype(np.uint8)
        run = AccessRun(batch.key[at], batch.stream[at], outcome)
        self._settle(run)
        return run

    def _settle(self, run: AccessRun) -> None:
        """Tell the questions that were waiting for accesses of this run what came."""
        if not self._ahead.of_stream:
            streams = [_ANY]
        else:
            streams = [int(run.stream[0])] if len(run.stream) == 1 else np.unique(run.stream).tolist()
        for stream in streams:
            waiting = self._waiting.get(stream)
            if not waiting:
                continue
            keys = run.key if len(streams) == 1 else run.key[run.stream == stream]
            n = len(keys)
            for question in waiting:
                if question.n_to_come <= n:
                    question.next_key = int(keys[question.n_to_come - 1])
                question.n_to_come = max(question.n_to_come - n, 0)
            self._waiting[stream] = [question for question in waiting if question.n_to_come]

    def keep(self, log: Log, batch: Batch) -> None:
        """The log is about to be emptied: copy what no question has shown yet."""
        if self._n_shown < len(log):
            self._kept.append(self._cut(log, batch))
        self._n_shown = 0

    def tell(self, key: int, fate: Fate) -> None:
        """News for the policy, delivered before its next question."""
        self._server.told.keys.append(key)
        self._server.told.fates.append(fate)

    def polluted(self) -> None:
        """A prefetch has made a miss: news too."""
        self._server.told.n_polluted += 1

    def close(self) -> None:
        """Record everything that is left, answered or not."""
        self._flush(keep_open=False)

    def _flush(self, *, keep_open: bool) -> None:
        """Record questions that are over and whose next access is known."""
        done: list[Question] = []
        still_open: list[Question] = []
        for question in self._records:
            is_open = question.n_to_come > 0 or question.status == Status.PENDING
            (still_open if keep_open and is_open else done).append(question)
        self._records = still_open
        if not done:
            return
        rows = [_row(question) for question in done]
        columns: dict[str, Any] = dict(zip(INFERENCE_COLUMNS, zip(*rows, strict=True), strict=True))
        for question, true in zip(done, columns["came_true"], strict=True):
            self.n_status[question.status] += 1
            self.n_predicted += true is not None
            self.n_came_true += bool(true)
        started = [question for question in done if question.batch >= 0]
        self.charged.add(np.array([question.charged_ns for question in started], np.int64))
        self.host.add(np.array([question.host_ns for question in started], np.int64))
        if self._books.sink is not None:
            self._books.sink.write("inferences", columns)


def _row(question: Question) -> tuple[Any, ...]:
    answer = question.answer
    predicted = answer.predicted_key if answer is not None else None
    true = predicted == question.next_key if predicted is not None and question.next_key is not None else None
    return (
        question.row,
        question.batch,
        question.access,
        question.stream,
        str(question.status),
        question.asked_ns,
        question.started_ns,
        question.ended_ns,
        question.charged_ns,
        question.host_ns,
        question.device_ns,
        predicted,
        answer.confidence if answer is not None and predicted is not None else None,
        question.next_key,
        true,
        len(answer.keys) if answer is not None else 0,
        question.n_issued,
    )
