"""The books of a run of the model: what is counted, and the rows of the tables (rules R16 to R20, R35)."""

import struct
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.accounting import Books, Questions
from simulator.distribution import Distribution
from simulator.fates import NOTHING_SAVED
from simulator.policy import Fate, Outcome, Status

if TYPE_CHECKING:
    from simulator.model.accesses import Access
    from simulator.model.asking import Question
    from simulator.model.memory import Transfer
    from simulator.model.model import Model

_PIECE = 1024
_UINT64 = 2**64
# Of a window: how many of each outcome, and the sums of latency and inference.
_CELL = len(Outcome) + 2


@dataclass(slots=True, eq=False)
class Prefetch:
    """An issued prefetch; -1: not yet, or never. ``source`` is the level that it comes from, times are in ns."""

    row: int
    inference: int
    key: int
    size: int
    source: int
    proposed_ns: int
    confidence: float
    filled_ns: int = -1
    used_ns: int = -1
    used_access: int = -1
    evicted_ns: int = -1
    saved_ns: int = NOTHING_SAVED


def _signed(key: int) -> int:
    """The bits of a uint64 as the int64 that rows hold."""
    return key - _UINT64 if key >= _UINT64 // 2 else key


def _bits(value: float) -> int:
    return int(struct.unpack("q", struct.pack("d", value))[0])


def _drawn(request: int, stream: int) -> int:
    """The number that a request draws: 53 bits, the same in every run (rule R35)."""
    x = (request + stream * 0x9E3779B97F4A7C1) % _UINT64
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % _UINT64
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB % _UINT64
    return (x ^ (x >> 31)) % 2**53


class Ledger:
    """Keeps the books of a run, and hands rows on in pieces."""

    def __init__(self, model: "Model", books: Books) -> None:
        self.model, self.books = model, books
        self.n_asked = self.n_issued = self.n_pollution = 0
        self._keeps_rows = books.takes("accesses")
        self._rows: dict[str, list[Any]] = {"accesses": [], "prefetches": [], "inferences": []}
        self._latency: Counter[int] = Counter()
        self._slack: Counter[int] = Counter()
        self._saved: Counter[int] = Counter()
        self._charged: Counter[int] = Counter()
        self._host: Counter[int] = Counter()
        self._open: dict[Prefetch, None] = {}
        self._late: dict[Prefetch, None] = {}
        self._asked: dict[Question, None] = {}
        self._cells: dict[int, list[int]] = {}
        self._n_status, self._n_judged, self._n_came_true = [0] * len(Status), 0, 0

    # -- accesses ---------------------------------------------------------------------------------------------------
    def served(self, access: "Access", service_ns: int) -> None:
        """An access is served: what is neither service, transfer nor inference was queueing (rule R18)."""
        books, outcome, place = self.books, access.outcome, access.index - self.books.first_access
        latency_ns = access.end_ns - access.issued_ns
        queue_ns = latency_ns - service_ns - access.inference_ns - access.transfer_ns
        parts = (service_ns, queue_ns, access.transfer_ns, access.inference_ns)
        books.n_broken += queue_ns < 0
        books.n_accesses += 1
        books.n_outcomes[outcome] += 1
        self._latency[latency_ns] += 1
        books.sums["service_ns"] += service_ns
        if latency_ns != service_ns:
            books.sums["queue_ns"] += queue_ns
            books.sums["transfer_ns"] += access.transfer_ns
            books.sums["inference_ns"] += access.inference_ns
        if access.end_ns > books.end_ns:
            books.end_ns = access.end_ns
        if access.index < books.min_access:
            books.min_access = access.index
        if access.shadow >= 0:
            is_missed = outcome >= Outcome.MERGED
            books.n_shadow_misses += access.shadow
            books.n_saved += access.shadow and not is_missed
            books.n_caused += is_missed and not access.shadow
        cell = self._cells.setdefault(place // books.window, [0] * _CELL)
        cell[outcome] += 1
        cell[-2] += latency_ns
        cell[-1] += access.inference_ns
        if self._keeps_rows and (books.keeps.is_all or self._is_kept(place, access)):
            of_trace = (access.index, access.stream, _signed(access.request), _signed(access.key), access.op)
            self._keep("accesses", (*of_trace, outcome, access.issued_ns, latency_ns, *parts, access.shadow))
        if books.n_accesses % _PIECE == 0:
            self.model.progress(books.n_accesses)

    def _is_kept(self, place: int, access: "Access") -> bool:
        keeps = self.books.keeps
        return place % keeps.every < keeps.length and _drawn(access.request, access.stream) < keeps.below

    def _keep(self, table: str, row: tuple[int, ...]) -> None:
        if self.books.takes(table):
            self._rows[table].append(row)
            if len(self._rows[table]) == _PIECE:
                self._hand_on(table)

    def _hand_on(self, table: str) -> None:
        books, rows = self.books, self._rows[table]
        add = {"accesses": books.add_accesses, "prefetches": books.add_prefetches, "inferences": books.add_questions}
        if rows:
            add[table](np.array(rows, np.int64))
            rows.clear()

    # -- prefetches (R19) -----------------------------------------------------------------------------------------
    def proposed(self, reason: str | None) -> None:
        """A block that an answer wants, and why it is not sent for, if so."""
        self.books.n_proposed += 1
        if reason is not None:
            self.books.n_rejected[reason] += 1

    def issued(self, question: "Question", key: int, size: int, source: int, confidence: float) -> Prefetch:
        """It is sent for, from the level ``source``."""
        prefetch = Prefetch(self.n_issued, question.row, key, size, source, self.model.now, confidence)
        self.n_issued += 1
        question.n_issued += 1
        self._open[prefetch] = None
        return prefetch

    def used(self, prefetch: Prefetch, access: "Access") -> None:
        """First use of its block, on time: the slack is since it was filled."""
        prefetch.used_ns, prefetch.used_access = self.model.now, access.index
        self._slack[prefetch.used_ns - prefetch.filled_ns] += 1
        self._close(prefetch, Fate.TIMELY)

    def met(self, transfer: "Transfer", access: "Access") -> None:
        """A demand found it in flight: that is its fate; what it saved shows when it lands."""
        transfer.late, transfer.prefetch = transfer.prefetch, None
        prefetch = transfer.late
        assert prefetch is not None
        prefetch.used_ns, prefetch.used_access = self.model.now, access.index
        self._late[prefetch] = self._open.pop(prefetch)
        self.model.asking.tell(prefetch.key, Fate.LATE)

    def filled(self, transfer: "Transfer") -> None:
        """Its block is in tier 0. A late one saved what a fetch would have taken that began with the demand."""
        if transfer.prefetch is not None:
            transfer.prefetch.filled_ns = self.model.now
        elif transfer.late is not None:
            late = transfer.late
            late.filled_ns = self.model.now
            late.saved_ns = late.used_ns + self.model.memory.way_ns(transfer.source, transfer.size) - late.filled_ns
            self._saved[late.saved_ns] += 1
            del self._late[late]
            self._settle(late, Fate.LATE)

    def evicted(self, prefetch: Prefetch) -> None:
        """Its block left tier 0 before it was used."""
        prefetch.evicted_ns = self.model.now
        self._close(prefetch, Fate.EVICTED_UNUSED)

    def cancelled(self, transfer: "Transfer") -> None:
        """It queued for too long."""
        assert transfer.prefetch is not None
        self._close(transfer.prefetch, Fate.CANCELLED)

    def _close(self, prefetch: Prefetch, fate: Fate) -> None:
        del self._open[prefetch]
        self.model.asking.tell(prefetch.key, fate)
        self._settle(prefetch, fate)

    def _settle(self, prefetch: Prefetch, fate: Fate) -> None:
        p = prefetch
        self.books.n_fates[fate] += 1
        made = (p.row, p.inference, _signed(p.key), p.size, p.source, p.proposed_ns)
        became = (p.filled_ns, p.used_ns, p.used_access, p.saved_ns, p.evicted_ns, fate, _bits(p.confidence))
        self._keep("prefetches", made + became)
        self.model.tell("settled", prefetch, fate)

    # -- questions (R16) ------------------------------------------------------------------------------------------
    def asked(self, question: "Question") -> None:
        """A question is put."""
        self.n_asked += 1
        self._asked[question] = None
        self.model.tell("asked", question)

    def recorded(self, question: "Question") -> None:
        """All is known of a question. One whose answer had not come at the end is in no sum and no ratio."""
        q, answer = question, question.answer
        is_over, guess, following = q.status != Status.PENDING_AT_END, answer.predicted_key, q.next_key
        is_judged = is_over and guess is not None and following is not None
        came_true = is_judged and guess == following
        self._n_status[q.status] += 1
        self._n_judged += is_judged
        self._n_came_true += came_true
        if is_over and q.batch >= 0:
            self._charged[q.cost.charged_ns] += 1
            self._host[q.cost.host_ns] += 1
        del self._asked[q]
        asked = (q.row, q.batch, q.access.index, q.access.stream, q.status, q.asked_ns, q.started_ns, q.ended_ns)
        guessed = (guess is not None, _signed(guess or 0), _bits(answer.confidence))
        came = (following is not None, _signed(following or 0), came_true)
        issued = (len(answer.keys) if is_over else 0, q.n_issued, is_judged)
        self._keep("inferences", (*asked, *q.cost, *guessed, *came, *issued))

    # -- the end --------------------------------------------------------------------------------------------------
    def close(self) -> None:
        """Settle what is open, fill the books and check the identities. Raises BooksError if one does not hold."""
        books, links, tiers = self.books, self.model.memory.links, self.model.memory.tiers
        for prefetch in self._late:
            self._settle(prefetch, Fate.LATE)
        for prefetch in self._open:
            self._settle(prefetch, Fate.RESIDENT_UNUSED if prefetch.filled_ns >= 0 else Fate.IN_FLIGHT)
        for question in list(self._asked):
            self.recorded(question)
        for table in self._rows:
            self._hand_on(table)
        self.model.progress(books.n_accesses)
        books.n_issued, books.n_pollution = self.n_issued, self.n_pollution
        books.latency, books.slack, books.saved = map(_distribution, (self._latency, self._slack, self._saved))
        charged, host = _distribution(self._charged), _distribution(self._host)
        books.questions = Questions(self.n_asked, self._n_status, self._n_judged, self._n_came_true, charged, host)
        n_cells = max(self._cells, default=-1) + 1
        cells = [self._cells.get(i, [0] * _CELL) for i in range(n_cells)]
        books.cells = np.array(cells, np.int64).reshape(n_cells, _CELL)
        books.sums["latency_ns"] = sum(ns * n for ns, n in self._latency.items())
        books.link_queue_ns = [link.queue_ns for link in links]
        books.link_transfer_ns = [link.transfer_ns for link in links]
        books.bytes_asked = [link.bytes_asked for link in links]
        queued = [[0] * 3 for _ in links]
        for link, of_kind in zip(links, queued, strict=True):
            for claim in link.queue:
                if claim.transfer is not None:
                    of_kind[claim.transfer.kind] += claim.transfer.size
        books.check(
            n_issued_accesses=self.model.n_accesses,
            bytes_started=[link.bytes_started for link in links],
            bytes_queued=queued,
            tiers=[(tier.n_in, tier.n_out, tier.n_in - tier.n_out, len(tier.blocks)) for tier in tiers],
        )


def _distribution(counts: Counter[int]) -> Distribution:
    pairs = np.array(list(counts.items()), np.int64).reshape(-1, 2)
    return Distribution(pairs, sum(value * n for value, n in counts.items()))
