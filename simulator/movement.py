"""Blocks on the move: fetches hop by hop, landings, evictions, write-backs (R4, R5, R6, R8, R9)."""

from typing import Protocol

from simulator.clock import Clock
from simulator.config import ComputeOrigin, System
from simulator.hops import hops_of, way_ns
from simulator.kernel import COMPUTED, WRITTEN
from simulator.links import PREFETCH, WRITE_BACK, Link, Transfer
from simulator.residency.keyset import KeySet
from simulator.residency.residency import Residency, Victim


class Listener(Protocol):
    """What the engine wants to know of what moves."""

    def landed(self, transfer: Transfer) -> None:
        """A block is in tier 0."""

    def free_again(self, transfer: Transfer) -> None:
        """A write-back that accesses wait for is over."""

    def evicted_unused(self, prefetch: int) -> None:
        """A prefetched block left tier 0 before its first use."""

    def cancelled(self, prefetch: int) -> None:
        """A prefetch was given up while it queued."""


class Movement:
    """All links and what is on them. ``in_flight`` has the one transfer of each block that has one."""

    def __init__(self, clock: Clock, system: System, residency: Residency, listener: Listener) -> None:
        self._clock = clock
        self._residency = residency
        self._listener = listener
        self._exclusive = system.placement == "exclusive"
        self._demotes = system.clean_evictions == "demote"
        self._budget = system.prefetch
        self._origin = len(system.tiers)
        self.in_flight: dict[int, Transfer] = {}
        self.polluted = KeySet()
        self.n_prefetches = 0
        self.prefetch_bytes = 0
        self._hops = hops_of(system)
        self.links = [Link(clock, hop, arrived=self._arrived, overdue=self._overdue) for hop in self._hops]
        self._in_place = isinstance(system.origin, ComputeOrigin) and system.origin.enters == "first"
        self.bytes_asked = [[0, 0, 0] for _ in self.links]

    def fetch(self, key: int, size: int, class_: int, where: int, prefetch: int = -1) -> Transfer:
        """Start a block, which is neither in tier 0 nor in flight, on its way there from the nearest holder."""
        level = (where & -where).bit_length() - 1 if where else self._origin
        if level < self._origin:
            # A tier below is used when it is read from: that is what its eviction policy goes by.
            self._residency.use(level, key)
        transfer = Transfer(key, size, class_, level, prefetch=prefetch)
        self.in_flight[key] = transfer
        if class_ == PREFETCH:
            self.n_prefetches += 1
            self.prefetch_bytes += size
        self._hop(transfer)
        return transfer

    def _hop(self, transfer: Transfer) -> None:
        if transfer.down:
            link = transfer.level
        elif self._in_place and transfer.level == self._origin:
            link = self._origin
        else:
            link = transfer.level - 1
        transfer.link = link
        self.bytes_asked[link][transfer.class_] += transfer.size
        self.links[link].submit(transfer)

    def way_ns(self, source: int, size: int) -> int:
        """A fetch from there that queues nowhere, in ns."""
        return way_ns(self._hops, self._origin, source, size)

    def would_queue(self, where: int) -> bool:
        """Whether a fetch from there would have to wait for a channel."""
        level = (where & -where).bit_length() - 1 if where else self._origin
        return self.links[level if self._in_place and level == self._origin else level - 1].is_busy

    def n_prefetches_queued(self) -> int:
        """Prefetches that wait for a channel."""
        return sum(link.n_prefetches_queued for link in self.links)

    def promote(self, transfer: Transfer) -> None:
        """A demand waits for this transfer from now on."""
        if transfer.priority == PREFETCH:
            self._release(transfer)
        self.links[transfer.link].promote(transfer)

    def _release(self, transfer: Transfer) -> None:
        self.n_prefetches -= 1
        self.prefetch_bytes -= transfer.size

    def allocate(self, key: int, size: int) -> None:
        """A write to a block that is neither in tier 0 nor in flight: it needs no fetch."""
        # First: what is not admitted is written down at once, and that write-back must not count as out of date.
        self.written(key)
        self._insert(0, key, size, WRITTEN)

    def written(self, key: int) -> None:
        """The block in tier 0 was written: copies below, and any on their way down, are out of date."""
        where = self._residency.where(key)
        for level in range(1, self._origin):
            if where >> level & 1:
                self._residency.remove(level, key)
        old = self.in_flight.get(key)
        if old is not None:
            old.obsolete = True
            del self.in_flight[key]

    def _insert(
        self,
        level: int,
        key: int,
        size: int,
        dirty: int = 0,
        prefetch: int = -1,
        *,
        by_prefetch: bool = False,
    ) -> None:
        victims = self._residency.insert(level, key, size, dirty, prefetch, report_all=by_prefetch or self._demotes)
        for victim in victims:
            # A block that is not admitted is its own victim, and no prefetch's.
            self._evicted(level, victim, by_prefetch and victim.key != key)

    def _evicted(self, level: int, victim: Victim, by_prefetch: bool) -> None:
        if level == 0:
            if victim.prefetch >= 0:
                self._listener.evicted_unused(victim.prefetch)
            if by_prefetch:
                self.polluted.add(victim.key)
        moving = self.in_flight.get(victim.key)
        above = victim.where & ((1 << level) - 1)
        if moving is not None and above:
            # It is on its way up and has left a copy between: the lowest copy answers for what is nowhere else.
            self._residency.mark(above.bit_length() - 1, victim.key, victim.dirty)
        elif moving is not None:
            # It is on its way up from here: the transfer takes over the only copy.
            moving.dirty = max(moving.dirty, victim.dirty)
        elif victim.where >> (level + 1) == 0:
            self._write_down(level, victim.key, victim.size_bytes, victim.dirty)

    def _write_down(self, level: int, key: int, size: int, dirty: int) -> None:
        """Save what is nowhere else one level down, at background priority; drop what need not be saved."""
        into_origin = level + 1 == self._origin
        if dirty == WRITTEN or (not into_origin and (dirty == COMPUTED or self._demotes)):
            transfer = Transfer(key, size, WRITE_BACK, level, down=True, dirty=dirty)
            self.in_flight[key] = transfer
            self._hop(transfer)

    def _arrived(self, transfer: Transfer) -> None:
        if transfer.down:
            self._arrived_below(transfer)
            return
        from_compute = self._in_place and transfer.level == self._origin
        transfer.level = 0 if from_compute else transfer.level - 1
        if transfer.level > 0:
            if not self._exclusive:
                # What the transfer has taken over is this copy's from now on, unless the tier does not keep it.
                dirty, transfer.dirty = transfer.dirty, 0
                self._insert(transfer.level, transfer.key, transfer.size, dirty)
            self._hop(transfer)
            return
        del self.in_flight[transfer.key]
        if from_compute:
            transfer.dirty = COMPUTED
        if self._exclusive and transfer.source < self._origin:
            transfer.dirty = max(transfer.dirty, self._residency.remove(transfer.source, transfer.key))
        is_prefetch = transfer.priority == PREFETCH
        if is_prefetch:
            self._release(transfer)
        if self.polluted.n_keys:
            self.polluted.discard(transfer.key)
        self._insert(
            0,
            transfer.key,
            transfer.size,
            transfer.dirty,
            transfer.prefetch,
            by_prefetch=transfer.class_ == PREFETCH,
        )
        self._listener.landed(transfer)

    def _arrived_below(self, transfer: Transfer) -> None:
        transfer.level += 1
        if transfer.obsolete:
            return
        del self.in_flight[transfer.key]
        if transfer.level < self._origin:
            self._insert(transfer.level, transfer.key, transfer.size, transfer.dirty)
        if transfer.waiters:
            self._listener.free_again(transfer)

    def _overdue(self, transfer: Transfer) -> bool:
        limit = self._budget.max_wait
        if limit is None or self._clock.now - transfer.queued_ns <= limit:
            return False
        del self.in_flight[transfer.key]
        self._release(transfer)
        self.bytes_asked[transfer.link][transfer.class_] -= transfer.size
        self._listener.cancelled(transfer.prefetch)
        if transfer.dirty:
            self._write_down(transfer.source, transfer.key, transfer.size, transfer.dirty)
        return True
