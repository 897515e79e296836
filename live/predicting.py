"""The thread that asks a policy, and those who put questions to it (rules R12 to R16, R31 to R33, R44)."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, cast

from live.engine_metrics import EngineMetrics, Tally
from live.errors import ClosedError, EngineError
from live.moves import Access
from live.questions import Question, Questions
from live.sending import Send
from live.streams import beside
from policies.given import Built
from simulator.charge import Cost
from simulator.config import InferenceServer
from simulator.ledger.questions import QuestionLog
from simulator.model.at_once import answer_at_once
from simulator.policy import AccessRun, Answer, Fate, Policy, Status, Told, hears, parts_of


class Predictor:
    """Builds a policy, asks it, and has sent what it wants; all of the policy runs on one thread, but R44's part.

    ``lock`` is held for moments, and never while a cache is called: caches hold theirs when they call this. All that
    the policy does on a GPU, ``device``, it does on a stream of its own; if that is None, on the thread's current one.
    """

    def __init__(
        self, build: Callable[[], Built], settings: InferenceServer, threshold: float, send: Send, tally: Tally,
        clock: Callable[[], int], device: int | None,
    ) -> None:  # fmt: skip
        self.settings, self.tally = settings, tally
        self._threshold, self._send, self._clock = threshold, send, clock
        self.lock = threading.Lock()
        self._wake, self._idle = threading.Condition(self.lock), threading.Condition(self.lock)
        # Whoever puts a question that is answered in part at once does so alone: such parts share a state.
        self._in_turn, self._deciding = threading.Lock(), threading.Lock()
        self._jobs: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._news: deque[tuple[int, Fate]] = deque()
        # What is added and taken by different threads, without a lock.
        self._polluted: deque[None] = deque()
        self._n_batches = self._free_since_ns = 0
        self._is_updated = self.is_off = self._is_closing = self._is_over = False
        self.error: BaseException | None = None
        self._built: Future[Built] = Future()
        self.thread = threading.Thread(target=self._run, args=(build, device), name="predictor", daemon=True)
        self.thread.start()
        self.policy: Policy = self._built.result().policy

    def _run(self, build: Callable[[], Built], device: int | None) -> None:
        try:
            with beside(device):
                self._ask(build)
        except BaseException as error:
            if self._built.done():
                raise
            self._built.set_exception(error)

    def _ask(self, build: Callable[[], Built]) -> None:
        # Where it is asked it is made, too: contexts of devices, streams, and signals, are a thread's own.
        built = build()
        parts = parts_of(built.policy, is_free=False)
        self._later, self._at_once = parts.later, parts.at_once
        self._hearer = self._at_once or self._later
        self.hears = hears(self._hearer)
        self._log = QuestionLog(cast("Any", self.tally), self._later.ahead, 0)
        self.questions = Questions(self._later, self.settings, self._log)
        self._built.set_result(built)
        while self._step():
            pass

    def _step(self) -> bool:
        """One batch, or a job; False when the engine is closed."""
        questions = self.questions
        with self.lock:
            while not (questions.n_waiting or self._jobs or self._is_closing):
                self._idle.notify_all()
                self._wake.wait()
            if self._is_closing:
                return False
            job = self._jobs.popleft() if self._jobs else None
            batch, runs = questions.take() if job is None else ([], [])
            questions.is_busy = True
        try:
            if job is not None:
                _do(*job)
            else:
                self._answer(batch, runs)
        except BaseException as error:
            self.fail(error, batch)
        finally:
            with self.lock:
                questions.is_busy = False
        return True

    def _tell(self) -> None:
        if self.hears and (self._news or self._polluted):
            told = Told()
            while self._news:
                key, fate = self._news.popleft()
                told.keys.append(key)
                told.fates.append(fate)
            while self._polluted:
                self._polluted.popleft()
                told.n_polluted += 1
            self._hearer.told(told)

    def _answer(self, batch: Sequence[Question], runs: Sequence[AccessRun]) -> None:
        started_ns = self._clock()
        with self._deciding:
            if self._at_once is None:
                self._tell()
            if self._is_updated:
                self._is_updated = False
                self._later.told(Told(is_updated=True))
            cpu, wall = time.thread_time_ns(), time.perf_counter_ns()
            decision = self._later.decide(runs)
            wall, cpu = time.perf_counter_ns() - wall, time.thread_time_ns() - cpu
        # What is learnt beside is learnt when the policy has answered.
        self._is_updated = decision.update is not None
        ended_ns = self._clock()
        # From when it could be taken up: the hand-over to this thread keeps an answer back as well (rule R15).
        held_ns = ended_ns - max(self._free_since_ns, min(question.asked_ns for question in batch))
        self._free_since_ns = ended_ns
        cost = Cost(held_ns, decision.host_ns or wall, decision.device_ns, decision.cpu_ns or cpu)
        answered = list(zip(batch, decision.answers, strict=True))
        with self.lock:
            self.tally.took(cost.host_ns)
            for question, answer in answered:
                question.answer, question.cost, question.batch = self._sure(answer), cost, self._n_batches
                question.started_ns, question.ended_ns = started_ns, ended_ns
            self._n_batches += 1
        for question in batch:
            if question.gate is not None:
                question.gate.release()
            else:
                self.deliver(question, self._send)

    def _sure(self, answer: Answer) -> Answer:
        """Without what is less sure than the threshold; the best guess stays."""
        least = self._threshold
        kept = [i for i, confidence in enumerate(answer.confidences) if not confidence < least]
        if len(kept) == len(answer.keys):
            return answer
        self.tally.n_held_back += len(answer.keys) - len(kept)
        return replace(
            answer, keys=[answer.keys[i] for i in kept], confidences=[answer.confidences[i] for i in kept],
            experts=[answer.experts[i] for i in kept] if answer.experts else (),
        )  # fmt: skip

    def see(
        self, access: Access, size: int, features: dict[str, int] | None, send: Send, *, wakes: bool = True
    ) -> Question | None:
        """An access: it may put a question, which is returned if it is to be waited for. Raises nothing of a policy.

        Unless it ``wakes`` the policy's thread, ``wake`` is called soon.
        """
        if self._at_once is None:
            # In one step: what a question is shown ends with the access that asks.
            with self.lock:
                return self._put(self._seen(access, size, features), wakes)
        with self._in_turn:
            with self.lock:
                question = self._seen(access, size, features)
            if question is None:
                return None
            try:
                with self._deciding:
                    self._tell()
                    answer = answer_at_once(self._at_once, cast("Any", access))
            except BaseException as error:
                self.fail(error, ())
                return None
            with self.lock:
                answer = self._sure(answer)
            question.n_at_once = len(answer.keys)
            question.n_issued = self._sent(answer, question, send)
            with self.lock:
                self.tally.n_proposed += question.n_at_once
                self.tally.n_issued += question.n_issued
                return self._put(question, wakes)

    def _seen(self, access: Access, size: int, features: dict[str, int] | None) -> Question | None:
        if access.index < 0:
            access.index = self.tally.n_accesses
        self.tally.n_accesses += 1
        if self.is_off or not self.questions.remember(access, size, features):
            return None
        return self.questions.new(access, self._clock())

    def _put(self, question: Question | None, wakes: bool) -> Question | None:
        if question is None or self.is_off or not self.questions.ask(question):
            return None
        if wakes or question.gate is not None:
            self._wake.notify()
        return question if question.gate is not None else None

    def wake(self) -> None:
        """A question waits for which nobody was woken yet. To look whether there is one needs no lock."""
        if self.questions.n_waiting:
            with self.lock:
                self._wake.notify()

    def _sent(self, answer: Answer, question: Question, send: Send) -> int:
        try:
            return send(answer, question.access.index, question.row)
        except ClosedError:
            # The cache was closed first: there is nothing more to be asked.
            with self.lock:
                self._stop()
        except Exception as error:
            with self.lock:
                self.tally.n_failed_sends += 1
                self.error = self.error or error
        return 0

    def deliver(self, question: Question, send: Send) -> Answer:
        """Have what an answer wants sent for, unless it is stale; what was wanted."""
        stale_after, answer = self.settings.stale_after, question.answer
        is_stale = stale_after is not None and question.ended_ns - question.asked_ns > stale_after
        n_issued = 0 if is_stale else self._sent(answer, question, send)
        with self.lock:
            if self._is_over or question.ended_ns < 0:
                return Answer()
            self.tally.n_proposed += len(answer.keys)
            self.tally.n_issued += n_issued
            self.tally.n_stale += is_stale
            self.tally.n_answered += not is_stale
            question.n_issued += n_issued
            self.questions.finish(question, Status.STALE if is_stale else Status.ANSWERED)
        return Answer() if is_stale else answer

    def settled(self, key: int, fate: Fate) -> None:
        """The policy hears of it before it is asked again. To append needs no lock."""
        if self.hears and not self.is_off:
            self._news.append((key, fate))

    def polluted(self) -> None:
        """A miss that a prefetch has caused."""
        if self.hears and not self.is_off:
            self._polluted.append(None)

    def fail(self, error: BaseException, batch: Sequence[Question]) -> None:
        """The policy has failed: its state may be half changed, so it is not asked any more. Nobody waits for it."""
        with self.lock:
            self.tally.n_errors += 1
            self.error = self.error or error
            self._stop()
        for question in batch:
            if question.gate is not None and question.ended_ns < 0:
                question.gate.release()

    def _stop(self) -> None:
        self.is_off = True
        for question in self.questions.give_up():
            if question.gate is not None:
                question.gate.release()
        self._news.clear()
        self._idle.notify_all()

    def do(self, job: Callable[[], Any]) -> Any:
        """Have something done on the policy's thread, between questions. Raises what it raises."""
        future: Future[Any] = Future()
        with self.lock:
            if self._is_closing:
                raise ClosedError("the engine is closed")
            self._jobs.append((future, job))
            self._wake.notify()
        return future.result()

    def drain(self, timeout_s: float) -> bool:
        """Wait until no question waits and none is being answered; False if that took too long."""
        questions = self.questions
        with self.lock:
            return self._idle.wait_for(lambda: not (questions.n_waiting or questions.is_busy), timeout_s)

    def metrics(self) -> EngineMetrics:
        """Counts of one moment."""
        with self.lock:
            questions = self.questions
            return self.tally.metrics(
                n_asked=questions.n_asked, n_superseded=questions.n_superseded, n_queue_full=questions.n_full,
                n_waiting=questions.n_waiting, n_unshown=questions.n_forgotten,
            )  # fmt: skip

    def check(self) -> None:
        """Raises EngineError if the policy, or what takes its blocks, has failed."""
        if self.error is not None:
            what = "the policy has failed, and is not asked any more" if self.tally.n_errors else "the cache has failed"
            raise EngineError(f"{what}: {self.error!r}") from self.error

    def close(self) -> bool:
        """End the thread; questions that wait are not answered. False if that was done before."""
        with self.lock:
            if self._is_closing:
                return False
            self._is_closing = True
            self._stop()
            jobs = [*self._jobs]
            self._wake.notify()
        for future, _ in jobs:
            future.set_exception(ClosedError("the engine is closed"))
        self.thread.join()
        with self.lock:
            self._is_over = True
            if self._built.exception() is None:
                self._log.close()
        return True


def _do(future: "Future[Any]", job: Callable[[], Any]) -> None:
    try:
        future.set_result(job())
    except BaseException as error:
        future.set_exception(error)
