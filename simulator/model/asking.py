"""Questions to the policy, the inference server, what answers bring (rules R10, R12 to R16, R31 to R33, R43, R44)."""

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from simpy import Store
from simpy.resources.store import StoreGet

from simulator.charge import Charge, Cost, is_free, put
from simulator.errors import OutsideError
from simulator.model.accesses import Access
from simulator.model.at_once import answer_at_once
from simulator.model.links import COMPLETION, PREFETCH, SERVE, Instant
from simulator.model.updating import Updating
from simulator.needs import ALWAYS_THERE, needs_of
from simulator.policy import (
    AccessRun,
    Answer,
    Fate,
    Outcome,
    Policy,
    Status,
    Told,
    Trigger,
    Update,
    hears,
    parts_of,
    recalls,
)
from simulator.trace import WRITE

if TYPE_CHECKING:
    from simulator.model.model import Model

_ASKS = {
    Trigger.NEVER: frozenset[Outcome](),
    Trigger.MISS: frozenset({Outcome.LATE, Outcome.MERGED, Outcome.MISS}),
    Trigger.TAGGED: frozenset(Outcome) - {Outcome.HIT},
    Trigger.ACCESS: frozenset(Outcome),
    Trigger.ARRIVAL: frozenset[Outcome](),
}
"""At which outcomes a policy is asked (rule R31)."""
_NO_COST, _NO_ANSWER = Cost(0, 0, 0, 0), Answer()
Seen = tuple[int, ...]
"""An access as a policy sees it: key, stream, outcome, and the columns that it asks for."""


@dataclass(slots=True, eq=False)
class Question:
    """One question, from the access that asks to what came of it; -1: not yet, or never."""

    row: int
    access: Access
    asked_ns: int
    shown_end: int = 0
    """How many accesses the policy is shown up to the one that asks."""
    status: Status = Status.PENDING_AT_END
    batch: int = -1
    started_ns: int = -1
    ended_ns: int = -1
    cost: Cost = _NO_COST
    answer: Answer = _NO_ANSWER
    n_at_once: int = 0
    """How many blocks were proposed when it was put."""
    n_issued: int = 0
    is_waiting: bool = False
    """Whether the access that its best guess is about has not come; ``next_key`` is of that access."""
    next_key: int | None = None


class _NewestFirst(Store):
    """A queue that gives what was put last."""

    def _do_get(self, event: StoreGet) -> None:
        if self.items:
            event.succeed(self.items.pop())


class InferenceServer:
    """So many servers beside one queue; each answers a batch at a time."""

    def __init__(self, model: "Model", policy: Policy, charge: Charge) -> None:
        parts = parts_of(policy, is_free=is_free(charge))
        self.model, self.policy, self.charge, self._at_once = model, parts.later, charge, parts.at_once
        # Where a part answers at once, what is to be heard is told there.
        policy, self._hearer = parts.later, parts.at_once or parts.later
        self.config = model.system.inference
        self.is_asked = policy.trigger != Trigger.NEVER
        # A request that arrives waits for nobody.
        self.is_sync = self.config.mode == "sync" and policy.trigger != Trigger.ARRIVAL
        self._supersedes = self.config.queue == "newest_first" and not self.is_sync
        self._takes_newest = self._supersedes and recalls(policy)
        self.queue = (_NewestFirst if self._takes_newest else Store)(model.env)
        """Questions that no server has taken up, in the order of asking."""
        self.n_busy = 0
        """Servers at work on questions."""
        self.updating = Updating(model)
        self._hears = hears(self._hearer)
        self.needs = needs_of(policy)
        self.told = Told()
        self._asks = _ASKS[policy.trigger]
        self._computes = model.memory.computes
        self._known: set[int] = set()
        self._unseen: deque[Seen] = deque()
        self._n_seen = 0
        self._n_batches = 0
        for _ in range(self.config.servers if self.is_asked else 0):
            model.env.process(self._serve())

    def asks_at(self, outcome: Outcome) -> bool:
        """Whether an access of this outcome puts a question."""
        return outcome in self._asks

    def ask_at_arrival(self, prompt: list[Access]) -> None:
        """A request arrives: a policy that is asked then is shown what it reads, as a look-up would find it (R45)."""
        reads = [access for access in prompt if access.op != WRITE]
        if self.policy.trigger == Trigger.ARRIVAL and reads:
            for access in reads:
                found = self.model.accesses.peek(access.key)
                self._unseen.append((access.key, access.stream, found, *access.shown))
            self.ask(reads[-1])

    def remember(self, access: Access) -> None:
        """The policy will be shown this access, with the outcome that it has now (rule R12)."""
        if self.policy.trigger == Trigger.ARRIVAL:
            return
        self._unseen.append((access.key, access.stream, access.outcome, *access.shown))

    def ask(self, access: Access) -> bool:
        """Put a question about the access just remembered; False if the queue is full: it is dropped (rule R14)."""
        if self._supersedes:
            self._supersede(access.stream)
        question = Question(self.model.ledger.questions.n_asked, access, self.model.now)
        if self._at_once is not None:
            self._propose_at_once(question, self._at_once)
        if self.n_busy == self.config.servers and len(self.queue.items) >= self.config.queue_limit:
            question.status = Status.QUEUE_FULL
        else:
            question.shown_end = self._n_seen + len(self._unseen)
            self.queue.put(question)
        self.model.ledger.questions.ask(question)
        self.model.tell("asked", question)
        return question.status != Status.QUEUE_FULL

    def _propose_at_once(self, question: Question, part: Policy) -> None:
        """What answers within the access is sent for before the question is put, under its number (rule R44)."""
        self._tell_news()
        answer = answer_at_once(part, question.access)
        question.n_at_once = len(answer.keys)
        self._propose_all(question, answer)

    def _propose_all(self, question: Question, answer: Answer) -> None:
        experts = answer.experts or [-1] * len(answer.keys)
        for key, confidence, expert in zip(answer.keys, answer.confidences, experts, strict=True):
            self._propose(question, key, confidence, expert)

    def _tell_news(self) -> None:
        if self._hears and (self.told.keys or self.told.n_polluted):
            told, self.told = self.told, Told()
            self._hearer.told(told)

    def _supersede(self, stream: int) -> None:
        """A stream has a newer question: the one of it that waits is not answered any more (rule R14)."""
        for question in self.queue.items:
            if question.access.stream == stream:
                self.queue.items.remove(question)
                question.status = Status.SUPERSEDED
                self.model.ledger.questions.supersede(question)
                self.model.tell("superseded", question)
                return

    def exists(self, key: int) -> None:
        """A block is accessed: from a computing origin it can be prefetched from now on (rule R6)."""
        if self._computes:
            self._known.add(key)

    def _serve(self) -> Generator[Any, Any, None]:
        """The process of a server: take up a batch, decide, be busy for what that is charged, deliver."""
        while True:
            batch = [(yield self.queue.get())]
            waiting = self.queue.items
            end = -1 if self._takes_newest else 0
            batch += [waiting.pop(end) for _ in range(min(self.config.batch_size - 1, len(waiting)))]
            batch.sort(key=lambda question: question.row)
            update, charged_ns = self._decide(batch)
            if charged_ns:
                self.updating.give_way()
                self.n_busy += 1
                is_over = Instant(self.model.env, COMPLETION, charged_ns)
            if update is not None:
                self.updating.begin(update, batch[-1].access.index)
            if charged_ns:
                yield is_over
                self.n_busy -= 1
                self.updating.may_go_on()
            for question in batch:
                self._deliver(question)
            yield Instant(self.model.env, SERVE)

    def _decide(self, batch: list[Question]) -> tuple[Update | None, int]:
        """The answers, which are known at once; what they cost is charged on the clock (rule R15). The update begun."""
        if self._at_once is None:
            self._tell_news()
        if self.updating.is_news:
            self.updating.keep()
            self.policy.told(Told(is_updated=True))
        try:
            runs = [self._run(question) for question in batch]
            decision, cost = put(self.policy, self.charge, runs, self.model.now)
        except OutsideError as error:
            error.access = batch[error.nth_question].access.index
            raise
        for question, answer in zip(batch, decision.answers, strict=True):
            question.answer, question.cost, question.batch = answer, cost, self._n_batches
            question.started_ns = self.model.now
        self._n_batches += 1
        self.model.tell("started", batch)
        return decision.update, cost.charged_ns

    def _run(self, question: Question) -> AccessRun:
        """The accesses that the policy has not been shown, up to the one that asks; it may have been shown that."""
        new = [self._unseen.popleft() for _ in range(question.shown_end - self._n_seen)]
        self._n_seen += len(new)
        return _columns(new, self.needs, question.access)

    def _deliver(self, question: Question) -> None:
        """An answer is there: who waited for it goes on, and what it wants is issued, unless it is stale (R13, R14)."""
        now, stale_after = self.model.now, self.config.stale_after
        question.ended_ns = now
        is_stale = stale_after is not None and now - question.asked_ns > stale_after
        question.status = Status.STALE if is_stale else Status.ANSWERED
        if self.is_sync:
            question.access.inference_ns = now - question.access.issued_ns
            self.model.accesses.look_up(question.access)
        self._propose_all(question, question.answer)
        self.model.ledger.questions.finish(question)
        self.model.tell("answered", question)

    def _propose(self, question: Question, key: int, confidence: float, expert: int) -> None:
        memory, ledger, size = self.model.memory, self.model.ledger, question.access.size
        source = min(memory.holders(key), default=memory.origin)
        if source < memory.origin:
            size = memory.tiers[source].blocks[key].size
        reason = self._reason_against(question, key, source, size)
        ledger.propose(question, reason)
        if reason is None:
            prefetch = ledger.begin(question, key, size, source, confidence, expert)
            memory.fetch(key, size, PREFETCH, prefetch)

    def _reason_against(self, question: Question, key: int, source: int, size: int) -> str | None:
        """Why a block that an answer wants is not sent for (rules R6, R9, R10, R14, R23)."""
        memory, budget = self.model.memory, self.model.system.prefetch
        if question.status == Status.STALE:
            return "dropped_stale"
        if source == 0:
            return "rejected_resident"
        if key in self.model.flight:
            return "rejected_in_flight"
        is_nowhere = source == memory.origin and self.model.lives is not None
        if self._computes and (is_nowhere or key not in self._known):
            return "rejected_unknown"
        if size > self.model.capacities[0]:
            return "rejected_too_large"
        is_over = memory.n_prefetches >= budget.in_flight or memory.prefetch_bytes + size > budget.bytes
        link = memory.link_from(source)
        would_wait = link.n_queued(PREFETCH) >= link.n_free
        n_waiting = sum(other.n_prefetches_waiting() for other in memory.links)
        return "rejected_budget" if is_over or (would_wait and n_waiting >= budget.queued) else None

    def tell(self, key: int, fate: Fate) -> None:
        """The policy hears of it before it is asked again (rule R12)."""
        if self.is_asked and self._hears:
            self.told.keys.append(key)
            self.told.fates.append(fate)


def _columns(run: list[Seen], names: tuple[str, ...], asking: Access) -> AccessRun:
    key, stream, outcome, *others = zip(*run, strict=True) if run else [()] * (3 + len(names))
    about = None if run else (asking.key, asking.stream)
    columns = {
        name: np.array(values, ALWAYS_THERE.get(name, np.uint64)) for name, values in zip(names, others, strict=True)
    }
    return AccessRun(np.array(key, np.uint64), np.array(stream, np.uint32), np.array(outcome, np.uint8), columns, about)
