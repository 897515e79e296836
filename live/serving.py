"""How accesses are served from tier 0, and prefetches begun (rules R9, R10, R17, R22 to R24, R33 of docs/rules.md)."""

from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

from live.moves import READ, WRITE, WRITTEN, Access, Block, Landing, Prefetch, Prefetched, Transfer
from simulator.accounting import REJECTIONS
from simulator.evictions.belady import NEVER
from simulator.links import DEMAND, PREFETCH
from simulator.policy import Fate, Outcome

if TYPE_CHECKING:
    from live.core import Core

_COUNTED_AS = {
    Landing.RESIDENT: REJECTIONS[0], Landing.IN_FLIGHT: REJECTIONS[1], Landing.UNKNOWN: REJECTIONS[2],
    Landing.OVER_BUDGET: REJECTIONS[3],
}  # fmt: skip


class Serving:
    """What ``simulator.model.accesses`` and the budget are to the model."""

    def __init__(self, core: "Core") -> None:
        self.core, self.books, self.memory, self.tier = core, core.books, core.memory, core.tiers[0]
        self.flight, self.budget = core.memory.flight, core.settings.prefetch
        self.n_issued = self.n_puts = 0
        self._seers = [tier.order for tier in core.tiers if tier.order.foresees]
        self._next_uses: Sequence[int] = ()

    def foresee(self, next_uses: Sequence[int]) -> None:
        """Where the key of each access to come is used next, for policies that read the future."""
        self._next_uses = next_uses

    def issue(self, access: Access) -> None:
        """An access begins."""
        access.index = self.n_issued
        self.n_issued += 1
        for order in self._seers:
            at = access.index
            order.passed(access.key, self._next_uses[at] if at < len(self._next_uses) else NEVER)
        if access.op == WRITE:
            self.n_puts += 1
            access.n_put = self.n_puts
        self.look_up(access)

    def look_up(self, access: Access) -> None:
        """Serve it now if tier 0 has its block; else it waits (rules R4, R17)."""
        block = self.tier.blocks.get(access.key)
        if block is None:
            access.outcome = Outcome.MISS
            self._join_or_fetch(access)
            return
        access.outcome = Outcome.HIT if block.prefetch is None else Outcome.HIT_PREFETCHED
        self._use(access, block)
        self._serve(access)

    def _use(self, access: Access, block: Block) -> None:
        """Tier 0 holds the block: its policy sees a use, a prefetch its first one, a write takes its place."""
        self.memory.use(0, access.key)
        if block.prefetch is not None:
            self._first_use(block.prefetch, access)
            self.settle(block.prefetch, Fate.TIMELY)
            block.prefetch = None
        if access.op == READ:
            access.slot = block.slot
            block.slot.refs += 1
            return
        assert access.slot is not None
        old, block.slot, access.slot = block.slot, access.slot, None
        block.put = access.n_put
        self.memory.release(old)
        # Clean copies below, and one on its way down, are out of date.
        if block.dirty != WRITTEN:
            block.dirty = WRITTEN
            given_up = self.memory.invalidate_below(access.key)
            if given_up is not None:
                self.look_again(given_up)

    def _first_use(self, prefetch: Prefetch, access: Access) -> None:
        prefetch.used_ns, prefetch.used_access = self.core.now, access.index

    def _join_or_fetch(self, access: Access) -> None:
        key, transfer = access.key, self.flight.get(access.key)
        if transfer is not None and transfer.error is not None and access.gate is None:
            # Whoever has waited for one more trial reads it where it is, or might wait for ever.
            self.core.traffic.try_parked_again()
        if transfer is not None and transfer.error is None:
            self._join(access, transfer)
            return
        if access.op == WRITE:
            self._allocate(access)
        elif transfer is not None:
            # It cannot be written down: its bytes are where they were, and are read there.
            assert transfer.slot is not None
            access.slot = transfer.slot
            transfer.slot.refs += 1
        else:
            self._count_pollution(access)
            self._wait(access, self.memory.fetch(key, DEMAND, access.index))
            return
        self._serve(access)

    def _allocate(self, access: Access) -> None:
        assert access.slot is not None
        slot, access.slot = access.slot, None
        self._count_pollution(access)
        self.memory.allocate(access.key, slot, access.n_put)

    def _count_pollution(self, access: Access) -> None:
        if access.key in self.memory.polluted:
            self.memory.polluted.remove(access.key)
            self.books.n_pollution += 1
            if self.core.recorder is not None:
                self.core.recorder.pollution(access)
            if self.core.follower is not None:
                self.core.follower.polluted()

    def _join(self, access: Access, transfer: Transfer) -> None:
        """Wait for what is on its way (rules R9, R22)."""
        if transfer.priority == PREFETCH:
            access.outcome = Outcome.LATE
            late = transfer.late = transfer.prefetch
            transfer.prefetch = None
            if late is not None:
                self._first_use(late, access)
        elif not transfer.is_down:
            access.outcome = Outcome.MERGED
        self.memory.demand(transfer)
        self._wait(access, transfer)

    def _wait(self, access: Access, transfer: Transfer) -> None:
        access.wait(transfer, self.core.now)

    def land(self, transfer: Transfer) -> None:
        """A block is in tier 0: those who waited are served, in the order in which they came."""
        now = self.core.now
        for prefetch in filter(None, (transfer.prefetch, transfer.late)):
            prefetch.filled_ns = now
            self.core.after.append((prefetch.future, Prefetched(transfer.key, Landing.LANDED)))
        if transfer.late is not None:
            # How much earlier it is there than by a fetch that had begun with the demand and queued nowhere.
            on_links = sum(ended - started for _, _, started, ended in transfer.path)
            transfer.late.saved_ns = transfer.late.used_ns + on_links - now
            self.settle(transfer.late, Fate.LATE)
        for access in transfer.waiters:
            block = self.tier.blocks.get(access.key)
            # To come in on behalf of a miss is no use on top of it; every other waiter's is.
            if access.outcome != Outcome.MISS and block is not None:
                self._use(access, block)
            elif access.op == WRITE:
                self._allocate(access)
            else:
                assert transfer.slot is not None
                access.slot = transfer.slot
                transfer.slot.refs += 1
            joined, access.path = access.joined_ns, transfer.path
            access.transfer_ns += sum(
                max(ended - max(started, joined), 0) for _, _, started, ended in transfer.path
            )  # fmt: skip
            self._serve(access)

    def look_again(self, transfer: Transfer) -> None:
        """A block has landed below, or will not: those who waited for that look again (rule R22)."""
        waiters, transfer.waiters = transfer.waiters, []
        for access in waiters:
            self.look_up(access)

    def serve_below(self, transfer: Transfer) -> None:
        """There is no room for a block further up: who reads it does so where it is, if that is in memory."""
        if transfer.slot is None:
            return
        readers = [access for access in transfer.waiters if access.op == READ]
        transfer.waiters = [access for access in transfer.waiters if access.op == WRITE]
        for access in readers:
            access.slot = transfer.slot
            transfer.slot.refs += 1
            self._serve(access)

    def fail(self, transfer: Transfer, error: BaseException) -> None:
        """A block does not come: who wanted to read it is told why; who writes it needs no more of it."""
        waiters, transfer.waiters = transfer.waiters, []
        for access in waiters:
            if access.op == WRITE:
                self.look_up(access)
            else:
                access.error = error
                access.serve(self.core.now)

    def _serve(self, access: Access) -> None:
        self.books.outcomes[access.outcome] += 1
        if access.gate is None:
            access.is_served = True
            return
        access.serve(self.core.now)
        if access.is_given_up:
            self.memory.release(access.slot)

    def settle(self, prefetch: Prefetch, fate: Fate) -> None:
        """It is known what has become of a prefetch."""
        prefetch.fate = fate
        self.books.fates[fate] += 1
        if self.core.recorder is not None:
            self.core.recorder.prefetch(prefetch, self.core.block)
        if self.core.follower is not None:
            self.core.follower.settled(prefetch.key, fate)

    def propose(self, key: int, why: tuple[int, int, float, int], future: "Future[Prefetched]") -> bool:
        """Somebody wants a block to be sent for: it is, or its future says why not (rule R33). Whether it is."""
        landing = self._reason_against(key)
        if landing is not None:
            self.books.rejected[_COUNTED_AS[landing]] += 1
            if self.core.recorder is not None:
                self.core.recorder.rejection(why[1], _COUNTED_AS[landing])
            self.core.after.append((future, Prefetched(key, landing)))
            return False
        source = min(self.memory.holders(key), default=self.core.origin)
        prefetch = Prefetch(self.books.n_issued, key, source, self.core.now, why, future)
        self.books.n_issued += 1
        self.memory.fetch(key, PREFETCH, prefetch=prefetch)
        return True

    def peek(self, key: int) -> Outcome:
        """What a look-up would find in tier 0, or a miss."""
        block = self.tier.blocks.get(key)
        if block is None:
            return Outcome.MISS
        return Outcome.HIT if block.prefetch is None else Outcome.HIT_PREFETCHED

    def _reason_against(self, key: int) -> Landing | None:
        core, budget, memory = self.core, self.budget, self.memory
        if key in self.tier.blocks:
            return Landing.RESIDENT
        if key in self.flight:
            return Landing.IN_FLIGHT
        source = min(memory.holders(key), default=core.origin)
        if source == core.origin and not core.store.holds(key):
            return Landing.UNKNOWN
        link = core.links[source - 1]
        is_over = memory.n_prefetches >= budget.in_flight or (memory.n_prefetches + 1) * core.block > budget.bytes
        would_wait = len(link.queues[DEMAND]) + len(link.queues[PREFETCH]) >= link.n_free
        if is_over or (would_wait and sum(other.n_prefetches_waiting() for other in core.links) >= budget.queued):
            return Landing.OVER_BUDGET
        return None
