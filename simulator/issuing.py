"""From answers to prefetches: reject, budget, issue; and each issued one until its fate is known (R6, R10, R19)."""

from simulator.accounting import Books, Prefetch
from simulator.asking import Asking
from simulator.clock import Clock
from simulator.config import System
from simulator.inference import Question, Status
from simulator.links import PREFETCH
from simulator.movement import Movement
from simulator.policy import Fate
from simulator.residency.keyset import KeySet
from simulator.residency.residency import Residency


class Issuing:
    """All prefetches that are not settled, by their row."""

    def __init__(
        self,
        clock: Clock,
        movement: Movement,
        residency: Residency,
        asking: Asking,
        books: Books,
        system: System,
        known: KeySet | None,
    ) -> None:
        self._clock = clock
        self._movement = movement
        self._residency = residency
        self._asking = asking
        self._books = books
        self._budget = system.prefetch
        self._known = known
        self._open: dict[int, Prefetch] = {}
        self._late: dict[int, Prefetch] = {}

    def issue(self, question: Question) -> None:
        """Issue what an answer wants, most wanted first, or count why not."""
        answer = question.answer
        if answer is None or not answer.keys:
            return
        books, now = self._books, self._clock.now
        for key, confidence in zip(answer.keys, answer.confidences, strict=True):
            books.n_proposed += 1
            if question.status == Status.STALE:
                books.n_rejected["dropped_stale"] += 1
                continue
            where = self._residency.where(key)
            size = self._residency.size(key) if where else question.size
            reason = self._reason_against(key, where, size)
            if reason is not None:
                books.n_rejected[reason] += 1
                continue
            row = books.n_issued
            books.n_issued += 1
            question.n_issued += 1
            transfer = self._movement.fetch(key, size, PREFETCH, where, row)
            self._open[row] = Prefetch(row, question.row, key, size, transfer.source, now, confidence)

    def _reason_against(self, key: int, where: int, size: int) -> str | None:
        movement, budget = self._movement, self._budget
        if where & 1:
            return "rejected_resident"
        if key in movement.in_flight:
            return "rejected_in_flight"
        if self._known is not None and key not in self._known:
            return "rejected_unknown"
        if (
            movement.n_prefetches >= budget.in_flight
            or movement.prefetch_bytes + size > budget.bytes
            or (movement.n_prefetches_queued() >= budget.queued and movement.would_queue(where))
        ):
            return "rejected_budget"
        return None

    def filled(self, row: int) -> None:
        """In tier 0 and still unused."""
        self._open[row].filled_ns = self._clock.now

    def used(self, row: int, access: int) -> None:
        """First use of a prefetched block, on time."""
        prefetch = self._open[row]
        prefetch.used_ns, prefetch.used_access = self._clock.now, access
        self._settle(row, Fate.TIMELY)

    def met(self, row: int, access: int) -> None:
        """A demand found the prefetch in flight: that is its fate, what it saved shows when it lands."""
        prefetch = self._late[row] = self._open.pop(row)
        prefetch.used_ns, prefetch.used_access = self._clock.now, access
        self._asking.tell(prefetch.key, Fate.LATE)

    def landed_late(self, row: int) -> None:
        """It has landed: so much earlier than a fetch that the demand had started, and that queued nowhere."""
        prefetch = self._late.pop(row)
        prefetch.filled_ns = self._clock.now
        way_ns = self._movement.way_ns(prefetch.source, prefetch.size)
        prefetch.saved_ns = prefetch.used_ns + way_ns - prefetch.filled_ns
        self._books.settle(prefetch, Fate.LATE)

    def evicted(self, row: int) -> None:
        """Left tier 0 before its first use."""
        self._open[row].evicted_ns = self._clock.now
        self._settle(row, Fate.EVICTED_UNUSED)

    def cancelled(self, row: int) -> None:
        """Given up while it queued."""
        self._settle(row, Fate.CANCELLED)

    def _settle(self, row: int, fate: Fate) -> None:
        prefetch = self._open.pop(row)
        self._asking.tell(prefetch.key, fate)
        self._books.settle(prefetch, fate)

    def close(self) -> None:
        """Settle what is left at the end of the run."""
        for prefetch in self._late.values():
            self._books.settle(prefetch, Fate.LATE)
        for row, prefetch in list(self._open.items()):
            self._settle(row, Fate.RESIDENT_UNUSED if prefetch.filled_ns >= 0 else Fate.IN_FLIGHT)
