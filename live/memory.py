"""Tiers and the blocks on their way between them (rules R4, R5, R9, R20, R25 to R28, R42 of docs/rules.md)."""

from typing import TYPE_CHECKING

from live.moves import CLEAN, WRITTEN, Block, Landing, Prefetch, Prefetched, Transfer
from live.slab import Slot
from simulator.arrays import NONE
from simulator.links import DEMAND, PREFETCH, WRITE_BACK
from simulator.policy import Fate

if TYPE_CHECKING:
    from live.core import Core
    from live.links import Link


class Memory:
    """What ``simulator.model.memory`` is to the model, with bytes. At most one transfer of a block is in flight.

    ``parked`` are write-backs that have failed, in the order in which they did.
    """

    def __init__(self, core: "Core") -> None:
        self.core, self.tiers, self.links, self.origin = core, core.tiers, core.links, core.origin
        self.is_exclusive = core.settings.placement == "exclusive"
        self.demotes_clean = core.settings.clean_evictions == "demote"
        self.flight: dict[int, Transfer] = {}
        self.parked: dict[int, Transfer] = {}
        self.polluted: set[int] = set()
        """What prefetches have pushed out of tier 0 (rule R20)."""
        self.n_prefetches = 0
        """Issued, not landed and not met by a demand: the budget's (rules R10, R24)."""

    def holders(self, key: int) -> list[int]:
        """The levels of the tiers that hold a block, nearest first."""
        return [tier.level for tier in self.tiers if key in tier.blocks]

    def link_of(self, transfer: Transfer) -> "Link":
        """The link by which a block leaves the level that it has got to."""
        return self.links[transfer.level if transfer.is_down else transfer.level - 1]

    def submit(self, transfer: Transfer) -> None:
        """Ask for the next link."""
        self.link_of(transfer).submit(transfer, self.core.now)
        self.core.will_wake()

    def fetch(self, key: int, kind: int, access: int = NONE, prefetch: Prefetch | None = None) -> Transfer:
        """Start a block on its way to tier 0, from the nearest tier that holds it, else from the store (rules R4, R25).

        Its bytes there stay until they have gone on, whatever becomes of that copy.
        """
        source = min(self.holders(key), default=self.origin)
        transfer = Transfer(key, kind, source, None, access=access, prefetch=prefetch)
        if source < self.origin:
            block = self.tiers[source].blocks[key]
            transfer.slot, transfer.put = block.slot, block.put
            block.slot.refs += 1
            self.use(source, key)
        self.n_prefetches += kind == PREFETCH
        self.flight[key] = transfer
        self.submit(transfer)
        return transfer

    def demand(self, transfer: Transfer) -> None:
        """An access waits for it: from now on it is demand, and counts against no budget (rules R8, R21, R24)."""
        if transfer.priority == PREFETCH:
            self.n_prefetches -= 1
        if transfer.priority != DEMAND:
            self.link_of(transfer).promote(transfer)

    def arrive(self, transfer: Transfer) -> None:
        """A hop is over, and the bytes are where they should be."""
        if transfer.is_down:
            self._arrive_below(transfer)
            return
        old, transfer.slot, transfer.target = transfer.slot, transfer.target, None
        transfer.level -= 1
        if old is not None:
            self.release(old)
        if transfer.level == 0:
            self._land(transfer)
            return
        if not self.is_exclusive:
            # A copy stays on each level of the way; what the transfer took over is this copy's from now on (rule R5).
            dirty, transfer.dirty = transfer.dirty, CLEAN
            self.insert(transfer.level, transfer.key, Block(_of(transfer), dirty, transfer.put))
        self.submit(transfer)

    def _land(self, transfer: Transfer) -> None:
        """It is in tier 0. Exclusive: the source has held it all the way, and lets go of it now (rule R26)."""
        del self.flight[transfer.key]
        if self.is_exclusive and transfer.source < self.origin:
            below = self.tiers[transfer.source].remove(transfer.key)
            if below is not None:
                transfer.dirty = max(transfer.dirty, below.dirty)
                self.release(below.slot)
        if transfer.priority == PREFETCH:
            self.n_prefetches -= 1
        self.polluted.discard(transfer.key)
        block = Block(_of(transfer), transfer.dirty, transfer.put, transfer.prefetch)
        self.insert(0, transfer.key, block, by_prefetch=transfer.kind == PREFETCH)
        self.core.serving.land(transfer)
        self.release(transfer.slot)

    def _arrive_below(self, transfer: Transfer) -> None:
        """A write-back is there, and whoever waited for it looks again; one that is out of date lands nowhere."""
        transfer.level += 1
        if not transfer.is_obsolete:
            del self.flight[transfer.key]
            if transfer.target is not None:
                target, transfer.target = transfer.target, None
                self.insert(transfer.level, transfer.key, Block(target, transfer.dirty, transfer.put))
        self.leave(transfer)
        self.core.serving.look_again(transfer)

    def leave(self, transfer: Transfer) -> None:
        """Of a transfer that is over nothing stays."""
        for slot in (transfer.slot, transfer.target):
            self.release(slot)
        transfer.slot = transfer.target = None

    def insert(self, level: int, key: int, block: Block, by_prefetch: bool = False) -> None:
        """Put a block into a tier that does not hold it, and see to those that do not stay (rules R5, R20, R27)."""
        for old, victim in self.tiers[level].put(key, block):
            if by_prefetch and old != key:
                self.polluted.add(old)
            self._evict(level, old, victim)

    def use(self, level: int, key: int) -> None:
        """A tier's block is used; those that this pushes out leave before anything else that it brings about (R42)."""
        for old, victim in self.tiers[level].use(key):
            self._evict(level, old, victim)

    def _evict(self, level: int, key: int, victim: Block) -> None:
        """A block has left a tier (rules R5, R27)."""
        if victim.prefetch is not None:
            victim.prefetch.evicted_ns = self.core.now
            self.core.serving.settle(victim.prefetch, Fate.EVICTED_UNUSED)
        moving, holders = self.flight.get(key), self.holders(key)
        if moving is not None:
            # It is on its way up: the lowest copy that it has left answers for it, or else the transfer itself.
            above = [holder for holder in holders if holder < level]
            heir = self.tiers[above[-1]].blocks[key] if above else moving
            heir.dirty, heir.put = max(heir.dirty, victim.dirty), max(heir.put, victim.put)
            self.release(victim.slot)
        elif max(holders, default=-1) < level:
            self.write_down(level, key, victim, self.demotes_clean)
        else:
            self.release(victim.slot)

    def write_down(self, level: int, key: int, victim: Block, demotes: bool) -> None:
        """Save what is nowhere else one level down: what was written always, the rest where a tier can hold it (R5)."""
        if victim.dirty == WRITTEN or (demotes and level + 1 < self.origin):
            transfer = Transfer(
                key, WRITE_BACK, level, victim.slot, is_down=True, dirty=victim.dirty, put=victim.put
            )  # fmt: skip
            self.flight[key] = transfer
            self.submit(transfer)
        else:
            self.release(victim.slot)

    def allocate(self, key: int, slot: Slot, put: int) -> None:
        """A write to a block that tier 0 does not hold: it covers the whole block, so nothing is fetched (rule R5)."""
        # First: what is not admitted is written down at once, and that write-back is not out of date.
        old = self.invalidate_below(key)
        self.insert(0, key, Block(slot, WRITTEN, put))
        if old is not None:
            self.core.serving.look_again(old)

    def invalidate_below(self, key: int) -> Transfer | None:
        """Only the copy in tier 0 counts: those below, and any on its way down, are out of date (rule R5).

        One that queued is given up: who waited for it is to look again.
        """
        for tier in self.tiers[1:]:
            below = tier.remove(key)
            if below is not None:
                self.release(below.slot)
        old = self.flight.pop(key, None)
        if old is None:
            return None
        old.is_obsolete = True
        if old.is_queued:
            link = self.link_of(old)
            link.withdraw(old)
            link.n_down -= 1
        elif old.error is not None:
            self.core.traffic.unpark(old)
        else:
            # The bytes are moving: they will land nowhere.
            return None
        self.leave(old)
        self.core.landed.notify_all()
        return old

    def cancel(self, transfer: Transfer, landing: Landing, error: BaseException | None = None) -> None:
        """It does not go on; what its source evicted meanwhile is saved all the same (rule R10)."""
        self.core.landed.notify_all()
        del self.flight[transfer.key]
        if transfer.priority == PREFETCH:
            self.n_prefetches -= 1
        for prefetch in filter(None, (transfer.prefetch, transfer.late)):
            self.core.serving.settle(prefetch, Fate.LATE if prefetch is transfer.late else Fate.CANCELLED)
            self.core.after.append((prefetch.future, Prefetched(transfer.key, landing, error)))
        slot, transfer.slot = transfer.slot, None
        self.leave(transfer)
        if slot is not None:
            self.write_down(transfer.level, transfer.key, Block(slot, transfer.dirty, transfer.put), demotes=False)

    def release(self, slot: Slot | None) -> None:
        """One counts on a slot no more."""
        if slot is not None:
            slot.slab.release(slot)


def _of(transfer: Transfer) -> Slot:
    """The slot that a transfer has its bytes in, for one more."""
    assert transfer.slot is not None
    transfer.slot.refs += 1
    return transfer.slot
