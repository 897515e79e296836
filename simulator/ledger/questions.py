"""Every question, until all is known of it: what was predicted, and whether it came true (rules R16, R37)."""

from collections import Counter, deque
from typing import TYPE_CHECKING

from simulator.accounting import Questions
from simulator.ledger.rows import Rows, bits, distribution, signed
from simulator.policy import Ahead, Status

if TYPE_CHECKING:
    from simulator.model.accesses import Access
    from simulator.model.asking import Question


class QuestionLog:
    """Records questions. A best guess is about the access ``ahead`` of the asking one, of its stream or of all."""

    def __init__(self, rows: Rows, ahead: Ahead, first_access: int) -> None:
        self._rows, self._ahead, self._first_access = rows, ahead, first_access
        self._open: dict[Question, None] = {}
        self._n_passed: dict[int, int] = {}
        self._waiting: dict[int, deque[tuple[int, Question]]] = {}
        self.n_asked = self._n_counted = self._n_known = self._n_came_true = 0
        self._n_status = [0] * len(Status)
        self._charged: Counter[int] = Counter()
        self._host: Counter[int] = Counter()

    def _is_judged(self, question: "Question") -> bool:
        return question.access.index >= self._first_access

    def _group(self, access: "Access") -> int:
        return access.stream if self._ahead.of_stream else -1

    def judge(self, access: "Access") -> None:
        """An access is issued: the question whose guess was about it learns what came."""
        group = self._group(access)
        n = self._n_passed[group] = self._n_passed.get(group, 0) + 1
        waiting = self._waiting.get(group)
        # All look equally far ahead, so the first to be asked is the first to know.
        if waiting and waiting[0][0] == n:
            _, question = waiting.popleft()
            question.is_waiting, question.next_key = False, access.key
            if question.status != Status.PENDING_AT_END:
                self._record(question)

    def ask(self, question: "Question") -> None:
        """A question is put; one that is dropped at once is over."""
        self.n_asked += 1
        self._n_counted += self._is_judged(question)
        self._open[question] = None
        if question.status == Status.QUEUE_FULL:
            self._record(question)
            return
        group = self._group(question.access)
        about = self._n_passed.get(group, 0) + self._ahead.accesses
        self._waiting.setdefault(group, deque()).append((about, question))
        question.is_waiting = True

    def supersede(self, question: "Question") -> None:
        """A newer one takes its place: it is over, and no guess of it is judged."""
        if question.is_waiting:
            waiting = self._waiting[self._group(question.access)]
            waiting.remove(next(place for place in waiting if place[1] is question))
            question.is_waiting = False
        self._record(question)

    def finish(self, question: "Question") -> None:
        """What it wanted is issued. It is over, unless it is about an access that has not come."""
        if not question.is_waiting:
            self._record(question)

    def _record(self, question: "Question") -> None:
        """All is known of a question. One whose answer had not come at the end is in no sum and no ratio."""
        q, answer = question, question.answer
        is_over, guess, following = q.status != Status.PENDING_AT_END, answer.predicted_key, q.next_key
        is_known = is_over and guess is not None and following is not None
        came_true = is_known and guess == following
        if self._is_judged(q):
            self._n_status[q.status] += 1
            self._n_known += is_known
            self._n_came_true += came_true
            if is_over and q.batch >= 0:
                self._charged[q.cost.charged_ns] += 1
                self._host[q.cost.host_ns] += 1
        del self._open[q]
        self._rows.add("inferences", {
            "inference": q.row, "batch": q.batch, "access": q.access.index, "stream": q.access.stream,
            "status": q.status, "asked_ns": q.asked_ns, "started_ns": q.started_ns, "ended_ns": q.ended_ns,
            "charged_ns": q.cost.charged_ns, "host_ns": q.cost.host_ns, "device_ns": q.cost.device_ns,
            "cpu_ns": q.cost.cpu_ns,
            "has_guess": guess is not None, "predicted_key": signed(guess or 0), "confidence": bits(answer.confidence),
            "has_next": following is not None, "next_key": signed(following or 0), "came_true": came_true,
            "n_proposed": len(answer.keys) if is_over else 0, "n_at_once": q.n_at_once, "n_issued": q.n_issued,
            "is_known": is_known,
        })  # fmt: skip

    def close(self) -> Questions:
        """Record those left at the end of the run, answered or not; all counts."""
        for question in list(self._open):
            self._record(question)
        times = distribution(self._charged), distribution(self._host)
        return Questions(self._n_counted, self._n_status, self._n_known, self._n_came_true, *times)
