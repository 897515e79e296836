"""Tiers: which blocks they hold, what comes in, who must go, what is saved below (rules R3, R5, R6, R25 to R28)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simulator.evictions.base import Eviction
from simulator.model.links import PREFETCH, WRITE_BACK
from simulator.model.transfers import CLEAN, COMPUTED, WRITTEN, Transfer

if TYPE_CHECKING:
    from simulator.model.ledger import Prefetch
    from simulator.model.model import Model


@dataclass(slots=True)
class Block:
    """A copy of a block in a tier; ``prefetch`` brought it and nobody has used it yet."""

    size: int
    dirty: int = CLEAN
    prefetch: "Prefetch | None" = None


class Tier:
    """A level that holds blocks; its eviction policy says who goes."""

    def __init__(self, name: str, level: int, eviction: Eviction) -> None:
        self.name, self.level, self.eviction = name, level, eviction
        self.blocks: dict[int, Block] = {}
        self.n_in = self.n_out = 0

    def put(self, key: int, block: Block) -> list[tuple[int, Block]]:
        """Take a block in; who does not stay, in order: the block itself if it is not admitted (rule R28)."""
        gone = self.eviction.request(key, block.size, prefetched=block.prefetch is not None)
        assert gone is not None, f"{self.name} holds {key} already"
        self.blocks[key] = block
        if gone != [key]:
            self.n_in += 1
            self.n_out += len(gone)
        return [(old, self.blocks.pop(old)) for old in gone]

    def remove(self, key: int) -> Block | None:
        """Let go of a copy, if there is one."""
        block = self.blocks.pop(key, None)
        if block is not None:
            self.eviction.remove(key)
            self.n_out += 1
        return block


class Memory:
    """All tiers, fastest first, and what moves between them."""

    def __init__(self, model: "Model", tiers: list[Tier]) -> None:
        system = model.system
        self.model, self.tiers = model, tiers
        self.origin = len(tiers)
        self.is_exclusive = system.placement == "exclusive"
        self.demotes_clean = system.clean_evictions == "demote"
        self.computes_in_place = system.origin.kind == "compute" and system.origin.enters == "first"

    def holders(self, key: int) -> list[int]:
        """The levels of the tiers that hold a block, nearest first."""
        return [tier.level for tier in self.tiers if key in tier.blocks]

    def fetch(self, key: int, size: int, kind: int, prefetch: "Prefetch | None" = None) -> Transfer:
        """Start a block on its way to tier 0, from the nearest tier that holds it, else from the origin (rule R4).

        ``size`` counts where no tier holds it (rule R29). Its source has used it now, not when the hop starts (R25).
        """
        source = min(self.holders(key), default=self.origin)
        if source < self.origin:
            size = self.tiers[source].blocks[key].size
            self.tiers[source].eviction.request(key, size)
        return Transfer(self.model, key, size, kind, source, prefetch=prefetch)

    def arrived(self, transfer: Transfer) -> bool:
        """A hop is over; whether the way is, too."""
        if transfer.is_down:
            self._arrived_below(transfer)
            return True
        from_nothing = self.computes_in_place and transfer.level == self.origin
        transfer.level = 0 if from_nothing else transfer.level - 1
        if transfer.level > 0:
            self._passed(transfer)
            return False
        self._landed(transfer, COMPUTED if from_nothing else transfer.dirty)
        return True

    def _passed(self, transfer: Transfer) -> None:
        """Inclusive: a copy stays on each level of the way, and has from now on what the transfer took over (R5)."""
        if not self.is_exclusive:
            dirty, transfer.dirty = transfer.dirty, CLEAN
            self.insert(transfer.level, transfer.key, Block(transfer.size, dirty))
        self.model.tell("passed", transfer)

    def _landed(self, transfer: Transfer, dirty: int) -> None:
        """It is in tier 0. Exclusive: the source has held it all the way, and lets go of it now (rule R26)."""
        transfer.leave()
        if self.is_exclusive and transfer.source < self.origin:
            below = self.tiers[transfer.source].remove(transfer.key)
            dirty = max(dirty, below.dirty if below else CLEAN)
        if transfer.priority == PREFETCH:
            self.model.budget.give_back(transfer.size)
        self.model.polluted.discard(transfer.key)
        is_prefetch = transfer.kind == PREFETCH
        self.insert(0, transfer.key, Block(transfer.size, dirty, transfer.prefetch), by_prefetch=is_prefetch)
        self.model.tell("landed", transfer)
        self.model.accesses.landed(transfer)

    def _arrived_below(self, transfer: Transfer) -> None:
        """A write-back is there, and whoever waited for it looks again; one that is out of date lands nowhere."""
        transfer.level += 1
        if not transfer.is_obsolete:
            transfer.leave()
            if transfer.level < self.origin:
                self.insert(transfer.level, transfer.key, Block(transfer.size, transfer.dirty))
        self.model.tell("landed", transfer)
        self.model.accesses.written_back(transfer)

    def insert(self, level: int, key: int, block: Block, *, by_prefetch: bool = False) -> None:
        """Put a block, which the tier does not hold, into it; ``by_prefetch``: what goes for it is pollution (R20)."""
        for old, victim in self.tiers[level].put(key, block):
            if level == 0 and victim.prefetch is not None:
                self.model.ledger.evicted(victim.prefetch)
            if by_prefetch and old != key:
                self.model.polluted.add(old)
            self.model.tell("evicted", self.tiers[level], old, victim)
            self._save(level, old, victim)

    def _save(self, level: int, key: int, victim: Block) -> None:
        """What is evicted, and nowhere else, must not be lost (rules R5, R27)."""
        moving = self.model.flight.get(key)
        holders = self.holders(key)
        above = [holder for holder in holders if holder < level]
        if moving is not None:
            # It is on its way up: the lowest copy that it has left answers for it, or else the transfer itself.
            heir = self.tiers[above[-1]].blocks[key] if above else moving
            heir.dirty = max(heir.dirty, victim.dirty)
        elif not any(holder > level for holder in holders):
            self.write_down(level, key, victim.size, victim.dirty)

    def write_down(self, level: int, key: int, size: int, dirty: int) -> None:
        """Save a block one level down: one that was written always, others where a tier is there to hold them."""
        into_tier = level + 1 < self.origin
        if dirty == WRITTEN or (into_tier and (dirty == COMPUTED or self.demotes_clean)):
            Transfer(self.model, key, size, WRITE_BACK, level, dirty=dirty)

    def allocate(self, key: int, size: int) -> None:
        """A write to a block that tier 0 does not hold: it covers the whole block, so nothing is fetched (rule R5)."""
        # First: what is not admitted is written down at once, and that write-back is not out of date.
        self.written(key)
        self.insert(0, key, Block(size, WRITTEN))

    def written(self, key: int) -> None:
        """The copy in tier 0 is the only one that counts: those below, and any on its way down, are out of date."""
        for tier in self.tiers[1:]:
            tier.remove(key)
        old = self.model.flight.get(key)
        if old is not None:
            old.is_obsolete = True
            old.leave()
        self.model.tell("written", key)
