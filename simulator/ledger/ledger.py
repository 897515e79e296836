"""The books of a run of the model: what is counted, and the rows of the tables (rules R16 to R20, R35)."""

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.accounting import COMPONENTS, Books, SoFar
from simulator.checks import too_late
from simulator.fates import NOTHING_SAVED
from simulator.ledger.questions import QuestionLog
from simulator.ledger.rows import PIECE, Rows, bits, distribution, drawn, signed
from simulator.model.links import PREFETCH
from simulator.model.memory import WRITTEN
from simulator.policy import Cause, Fate, Outcome
from simulator.records.rows import WindowRow
from simulator.units import LATEST_NS

if TYPE_CHECKING:
    from simulator.model.accesses import Access
    from simulator.model.asking import Question
    from simulator.model.links import Link
    from simulator.model.lives import Life
    from simulator.model.memory import Transfer
    from simulator.model.model import Model

# Of a window: how many of each outcome, and the sums of latency and inference.
_CELL = len(Outcome) + 2


@dataclass(slots=True, eq=False)
class Prefetch:
    """An issued prefetch, which access number ``access`` asked for; -1: not yet, or never.

    ``source`` is the level that it comes from, times are in ns.
    """

    row: int
    inference: int
    access: int
    key: int
    size: int
    source: int
    proposed_ns: int
    confidence: float
    expert: int
    filled_ns: int = -1
    used_ns: int = -1
    used_access: int = -1
    evicted_ns: int = -1
    saved_ns: int = NOTHING_SAVED


class Ledger:
    """Keeps the books of a run, and hands rows on in pieces."""

    def __init__(self, model: "Model", books: Books) -> None:
        self.model, self.books = model, books
        self.n_issued = self._n_calls = self._n_served = self._waited_ns = self._ttft_ns = 0
        self._rows = Rows(books)
        self.questions = QuestionLog(self._rows, model.asking.policy.ahead, books.first_access)
        self._latency: Counter[int] = Counter()
        self._slack: Counter[int] = Counter()
        self._saved: Counter[int] = Counter()
        self._ttft: Counter[int] = Counter()
        self._open: dict[Prefetch, None] = {}
        self._late: dict[Prefetch, None] = {}
        self._cells: dict[int, list[int]] = {}
        self._used: dict[int, tuple[int, list[int]]] = {}
        self.began_ns = 0 if books.first_access == model.first_access else -1
        self._bytes_before = [[0] * 3 for _ in model.memory.links]

    # -- what is judged (R38) -----------------------------------------------------------------------------------------
    def is_judged(self, access: int) -> bool:
        """Whether an access, by its number, counts, and what it asks for."""
        return access >= self.books.first_access

    def note(self, access: "Access") -> None:
        """An access is issued. With the first that is judged, bytes on links and backlogs begin to count.

        The first of a window sees how full the tiers are.
        """
        if self.began_ns < 0 and self.is_judged(access.index):
            self.began_ns = self.model.now
            self._bytes_before = [list(link.bytes_started) for link in self.model.memory.links]
            for tier in self.model.memory.tiers:
                tier.backlog.most_bytes = tier.backlog.n_bytes
        window = (access.index - self.books.first_access) // self.books.window
        if self.is_judged(access.index) and window not in self._used:
            used = [sum(block.size for block in tier.blocks.values()) for tier in self.model.memory.tiers]
            self._used[window] = self.model.now, used

    # -- accesses ---------------------------------------------------------------------------------------------------
    def serve(self, access: "Access", service_ns: int) -> None:
        """An access is served: what is neither service, transfer nor inference was queueing (rule R18)."""
        books, outcome, place = self.books, access.outcome, access.index - self.books.first_access
        latency_ns = access.end_ns - access.issued_ns
        self._n_served += 1
        self._waited_ns += latency_ns
        if max(access.end_ns, self._waited_ns) > LATEST_NS:
            raise too_late(access.index)
        if self._n_served % PIECE == 0:
            self.model.progress(self._n_served)
        if not self.is_judged(access.index):
            books.unjudged.n_outcomes[outcome] += 1
            return
        queue_ns = latency_ns - service_ns - access.inference_ns - access.transfer_ns
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
        if self._rows.keeps_accesses and (books.keeps.is_all or self._is_kept(place, access)):
            self._rows.add("accesses", {
                "access": access.index, "stream": access.stream, "request": signed(access.request),
                "key": signed(access.key), "op": access.op, "outcome": outcome, "issued_ns": access.issued_ns,
                "latency_ns": latency_ns, "service_ns": service_ns, "queue_ns": queue_ns,
                "transfer_ns": access.transfer_ns, "inference_ns": access.inference_ns, "shadow": access.shadow,
            })  # fmt: skip

    def attribute(self, transfer: "Transfer", access: "Access") -> int:
        """How long of an access's wait the block was in service, in ns; each link is told its part (rule R18)."""
        moved, since_ns, counts = 0, access.joined_ns, self.is_judged(access.index)
        for link, queued_ns, started_ns, ended_ns, entered_ns in transfer.path:
            in_service = max(ended_ns - max(started_ns, since_ns), 0)
            queued = max(started_ns - max(queued_ns, since_ns), 0) + max(entered_ns - max(ended_ns, since_ns), 0)
            link.queue_ns += counts * queued
            link.transfer_ns += counts * in_service
            moved += in_service
        return moved

    def _is_kept(self, place: int, access: "Access") -> bool:
        keeps = self.books.keeps
        return place % keeps.every < keeps.length and drawn(access.request, access.stream) < keeps.below

    # -- prefetches (R19) -----------------------------------------------------------------------------------------
    def propose(self, question: "Question", reason: str | None) -> None:
        """A block that an answer wants, and why it is not sent for, if so."""
        if self.is_judged(question.access.index):
            self.books.n_proposed += 1
            self.books.n_issued += reason is None
            if reason is not None:
                self.books.n_rejected[reason] += 1

    def pollute(self, access: "Access") -> None:
        """A block is missed that a prefetch pushed out."""
        self.books.n_pollution += self.is_judged(access.index)

    def hit_behind(self, access: "Access") -> None:
        """Tier 0 has a block, behind a missing one of its request."""
        self.books.n_hits_behind += self.is_judged(access.index)

    def bypass(self, access: "Access") -> None:
        """A block is missed that tier 0 cannot hold."""
        self.books.n_bypassed += self.is_judged(access.index)

    def begin(self, question: "Question", key: int, size: int, source: int, confidence: float, expert: int) -> Prefetch:
        """It is sent for, from the level ``source``."""
        prefetch = Prefetch(
            self.n_issued, question.row, question.access.index, key, size, source, self.model.now, confidence, expert
        )
        self.n_issued += 1
        question.n_issued += 1
        self._open[prefetch] = None
        return prefetch

    def use(self, prefetch: Prefetch, access: "Access") -> None:
        """First use of its block, on time: the slack is since it was filled."""
        prefetch.used_ns, prefetch.used_access = self.model.now, access.index
        if self.is_judged(prefetch.access):
            self._slack[prefetch.used_ns - prefetch.filled_ns] += 1
        self._close(prefetch, Fate.TIMELY)

    def meet(self, transfer: "Transfer", access: "Access") -> None:
        """A demand found it in flight: that is its fate; what it saved shows when it lands."""
        transfer.late, transfer.prefetch = transfer.prefetch, None
        prefetch = transfer.late
        assert prefetch is not None
        prefetch.used_ns, prefetch.used_access = self.model.now, access.index
        self._late[prefetch] = self._open.pop(prefetch)
        self.model.asking.tell(prefetch.key, Fate.LATE)

    def fill(self, transfer: "Transfer") -> None:
        """Its block is in tier 0. A late one saved what a fetch would have taken that began with the demand."""
        if transfer.prefetch is not None:
            transfer.prefetch.filled_ns = self.model.now
        elif transfer.late is not None:
            late = transfer.late
            late.filled_ns = self.model.now
            late.saved_ns = late.used_ns + self._way_ns(transfer) - late.filled_ns
            if self.is_judged(late.access):
                self._saved[late.saved_ns] += 1
            del self._late[late]
            self._settle(late, Fate.LATE)

    def _way_ns(self, transfer: "Transfer") -> int:
        """The way of a transfer if it queued nowhere, in ns."""
        return sum(link.duration(transfer.size, False, 1) for link, *_ in transfer.path)

    def evict(self, prefetch: Prefetch) -> None:
        """Its block left tier 0 before it was used."""
        prefetch.evicted_ns = self.model.now
        self._close(prefetch, Fate.EVICTED_UNUSED)

    def cancel(self, transfer: "Transfer") -> None:
        """It queued for too long."""
        assert transfer.prefetch is not None
        self._close(transfer.prefetch, Fate.CANCELLED)

    def _close(self, prefetch: Prefetch, fate: Fate) -> None:
        del self._open[prefetch]
        self.model.asking.tell(prefetch.key, fate)
        self._settle(prefetch, fate)

    def _settle(self, prefetch: Prefetch, fate: Fate) -> None:
        p = prefetch
        if self.is_judged(p.access):
            self.books.n_fates[fate] += 1
            self._rows.add("prefetches", {
                "prefetch": p.row, "inference": p.inference, "access": p.access, "key": signed(p.key),
                "size_bytes": p.size, "source_level": p.source, "proposed_ns": p.proposed_ns, "filled_ns": p.filled_ns,
                "first_used_ns": p.used_ns, "first_used_access": p.used_access, "saved_ns": p.saved_ns,
                "evicted_ns": p.evicted_ns, "fate": fate, "confidence": bits(p.confidence), "expert": p.expert,
            })  # fmt: skip
        else:
            self.books.unjudged.n_fates[fate] += 1
        self.model.tell("settled", prefetch, fate)

    def bytes_moved(self) -> list[list[int]]:
        """Bytes that were started on each link since judging began, by what transfers were started as."""
        pairs = zip(self.model.memory.links, self._bytes_before, strict=True)
        return [[n - m for n, m in zip(link.bytes_started, before, strict=True)] for link, before in pairs]

    def begin_call(self, link: "Link", channel: int, transfers: "list[Transfer]", ns: int) -> None:
        """Blocks begin their way over a link, in one call, which takes so long."""
        if self.began_ns < 0:
            return
        for t in transfers:
            cause, access, prefetch = Cause.MISS, -1, -1
            if t.kind == PREFETCH:
                # One that a process of one's own has started is behind none, and nobody waits for its fetch.
                behind = t.prefetch or t.late
                cause, prefetch = Cause.PREFETCH, -1 if behind is None else behind.row
            elif t.is_down:
                cause = Cause.WRITE_BACK if t.dirty == WRITTEN else Cause.DEMOTION
            else:
                # Whoever started it waits for it before anybody else.
                cause, access = Cause.RECOMPUTE if t.is_again else Cause.MISS, t.waiters[0].index if t.waiters else -1
            self._rows.add("transfers", {
                "call": self._n_calls, "link": link.index, "channel": channel, "class_": t.kind,
                "priority": t.claim.priority, "cause": cause, "access": access, "prefetch": prefetch,
                "key": signed(t.key), "is_down": t.is_down, "size_bytes": t.size, "queued_ns": int(t.claim.time),
                "started_ns": self.model.now, "ended_ns": self.model.now + ns,
            })  # fmt: skip
        self._n_calls += 1

    # -- requests (R45) -----------------------------------------------------------------------------------------------
    def end(self, life: "Life") -> None:
        """A request is over, or all of its accesses have been served at the end."""
        first, (fetched_ns, first_token_ns, end_ns) = (life.prompt or life.answer)[0], life.times()
        if not self.is_judged(first.index):
            return
        spans = {
            "waiting_ns": life.started_ns - life.arrival_ns, "fetching_ns": fetched_ns - life.started_ns,
            "computing_ns": first_token_ns - fetched_ns, "decoding_ns": end_ns - first_token_ns,
        }  # fmt: skip
        ttft_ns = first_token_ns - life.arrival_ns
        self.books.n_requests += 1
        self.books.n_read += len(life.prompt)
        self.books.n_found += life.n_found
        self._ttft[ttft_ns] += 1
        self._ttft_ns += ttft_ns
        if max(end_ns, self._ttft_ns) > LATEST_NS:
            raise too_late(first.index)
        for name, ns in spans.items():
            self.books.spans[name] += ns
        self._rows.add("requests", {
            "access": first.index, "stream": first.stream, "request": signed(first.request),
            "arrival_ns": life.arrival_ns, **spans, "ttft_ns": ttft_ns,
            "n_read": len(life.prompt), "n_found": life.n_found, "n_written": len(life.answer),
        })  # fmt: skip

    def so_far(self, n_windows: int) -> SoFar:
        """What it has come to, with the last ``n_windows`` windows: for who is told of progress."""
        books, last = self.books, sorted(self._cells)[-n_windows:]
        latency_ns = sum(books.sums[name] for name in COMPONENTS)
        return SoFar.of(books.n_outcomes, latency_ns, _rows_of([self._cells[i] for i in last], []))

    # -- the end --------------------------------------------------------------------------------------------------
    def close(self) -> None:
        """Settle what is open, fill the books and check the identities. Raises BooksError if one does not hold."""
        books, links, tiers = self.books, self.model.memory.links, self.model.memory.tiers
        books.end_ns -= max(self.began_ns, 0)
        for prefetch in self._late:
            self._settle(prefetch, Fate.LATE)
        for prefetch in self._open:
            self._settle(prefetch, Fate.RESIDENT_UNUSED if prefetch.filled_ns >= 0 else Fate.IN_FLIGHT)
        books.questions = self.questions.close()
        self._rows.hand_on_all()
        self.model.progress(self._n_served)
        books.latency, books.slack, books.saved = map(distribution, (self._latency, self._slack, self._saved))
        books.has_lives, books.ttft = self.model.lives is not None, distribution(self._ttft)
        n_cells = max(self._cells, default=-1) + 1
        used = [self._used.get(i, (0, [])) for i in range(n_cells)]
        books.cells = _rows_of([self._cells.get(i, [0] * _CELL) for i in range(n_cells)], used)
        books.sums["latency_ns"] = sum(ns * n for ns, n in self._latency.items())
        books.link_queue_ns = [link.queue_ns for link in links]
        books.link_transfer_ns = [link.transfer_ns for link in links]
        books.bytes_asked = [link.bytes_asked for link in links]
        books.write_back_queued = [(tier.backlog.most_bytes, tier.backlog.n_bytes) for tier in tiers]
        books.n_evicted, books.resident_bytes = tiers[0].n_out, sum(block.size for block in tiers[0].blocks.values())
        queued = [[0] * 3 for _ in links]
        for link, of_kind in zip(links, queued, strict=True):
            for claim in link.queue:
                if claim.transfer is not None:
                    of_kind[claim.transfer.kind] += claim.transfer.size
        books.check(
            n_issued_accesses=self.model.n_accesses,
            bytes_started=[link.bytes_started for link in links],
            bytes_queued=queued,
            bytes_moved=self.bytes_moved(),
            tiers=[(tier.n_in, tier.n_out, tier.n_in - tier.n_out, len(tier.blocks)) for tier in tiers],
        )


def _rows_of(cells: list[list[int]], used: list[tuple[int, list[int]]]) -> Any:
    """Windows as rows; ``used``: when each began, and bytes by tier then, of all of them or of none."""
    rows = np.zeros(len(cells), WindowRow.dtype)
    for row, cell in zip(rows, cells, strict=True):
        row["n_of_outcome"], row["latency_ns"], row["inference_ns"] = cell[:-2], cell[-2], cell[-1]
    for row, (begun_ns, n_bytes) in zip(rows, used, strict=False):
        row["is_begun"], row["begun_ns"], row["used_bytes"][: len(n_bytes)] = 1, begun_ns, n_bytes
    return rows
