"""Tiers and the blocks on their way between them (rules R3 to R6, R8 to R10, R21, R24 to R28, R40 to R42)."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulator.evictions.base import Eviction
from simulator.model.backlog import Backlog
from simulator.model.links import DEMAND, PREFETCH, WRITE_BACK, Claim, Link

if TYPE_CHECKING:
    from simulator.ledger.ledger import Prefetch
    from simulator.model.accesses import Access
    from simulator.model.model import Model

CLEAN, COMPUTED, WRITTEN = range(3)
"""How dirty a block is: what was computed can be computed again, what was written is nowhere else."""


@dataclass(slots=True)
class Block:
    """A copy of a block in a tier; ``prefetch`` brought it and nobody has used it yet."""

    size: int
    dirty: int = CLEAN
    prefetch: "Prefetch | None" = None


class Tier:
    """A level that holds blocks; its eviction policy says who goes."""

    def __init__(self, name: str, level: int, eviction: Eviction, backlog: Backlog) -> None:
        self.name, self.level, self.eviction, self.backlog = name, level, eviction, backlog
        self.blocks: dict[int, Block] = {}
        self.n_in = self.n_out = 0

    def put(self, key: int, block: Block) -> list[tuple[int, Block]]:
        """Take a block in; who does not stay, in order: the block itself if it is not admitted (rule R28)."""
        gone = self.eviction.request(key, block.size, prefetched=block.prefetch is not None)
        assert gone is not None, f"{self.name} holds {key} already"
        self.blocks[key] = block
        self.n_in += gone != [key]
        self.n_out += len(gone) if gone != [key] else 0
        return [(old, self.blocks.pop(old)) for old in gone]

    def use(self, key: int) -> list[tuple[int, Block]]:
        """A block that it holds is read or written here; whom that pushes out, in order (rule R42)."""
        self.eviction.request(key, self.blocks[key].size)
        gone = self.eviction.push_out()
        self.n_out += len(gone)
        return [(old, self.blocks.pop(old)) for old in gone]

    def remove(self, key: int) -> Block | None:
        """Let go of a copy, if there is one."""
        block = self.blocks.pop(key, None)
        if block is not None:
            self.eviction.remove(key)
            self.n_out += 1
        return block


class Transfer:
    """A fetch or a prefetch, from its ``source`` up to tier 0, or a write-back, one level down.

    ``kind`` is what it was started as and ``priority`` what it counts as now, ``level`` where the block has got to.
    ``prefetch`` is behind it until a demand meets it, ``late`` from then on. An obsolete write-back lands nowhere, nor
    does what is computed ``is_again``: tier 0 has it.
    ``path`` has for each hop that is over the link, and when it queued, started and ended and the tier took it, in ns.
    """

    def __init__(
        self, model: "Model", key: int, size: int, kind: int, source: int, dirty: int = CLEAN,
        prefetch: "Prefetch | None" = None, is_again: bool = False,
    ) -> None:  # fmt: skip
        self.model, self.key, self.size, self.dirty, self.prefetch = model, key, size, dirty, prefetch
        self.kind = self.priority = kind
        self.level = self.source = source
        self.is_down, self.is_obsolete, self.is_again = kind == WRITE_BACK, False, is_again
        self.late: Prefetch | None = None
        self.waiters: list[Access] = []
        self.path: list[tuple[Link, int, int, int, int]] = []
        if not is_again:
            model.flight[key] = self
        # At once: whatever counts claims counts this one.
        self.claim = self._next_claim()
        self.process = model.env.process(self._travel())

    def _next_claim(self) -> Claim:
        link = self.model.memory.link_from(self.level, self.is_down)
        link.bytes_asked[self.kind] += self.size
        claim: Claim = link.request(self.priority, transfer=self)
        return claim

    def _travel(self) -> Generator[Any, Any, None]:
        """The process: hop by hop; on each link wait for a channel, then for the call to end."""
        is_there, model = False, self.model
        while not is_there:
            queued_ns = model.now
            with self.claim as claim:
                call = yield claim
                if call is None:
                    model.memory.cancel(self)
                    return
                started_ns = model.now
                yield call
            ended_ns, into = model.now, model.memory.end_hop(self)
            shut = into.backlog if into is not None and into.backlog.is_shut else None
            if shut is not None:
                turn = model.env.event()
                shut.line.append(turn.succeed)
                yield turn
            self.path.append((claim.resource, queued_ns, started_ns, ended_ns, model.now))
            is_there = model.memory.arrive(self)
            if shut is not None:
                shut.open()
            if not is_there:
                self.claim = self._next_claim()


class Memory:
    """All tiers, fastest first, and what moves between them. At most one transfer of a block is in flight (rule R9)."""

    def __init__(self, model: "Model", tiers: list[Tier], links: list[Link]) -> None:
        system = model.system
        self.model, self.tiers, self.links, self.origin = model, tiers, links, len(tiers)
        self.is_exclusive = system.placement == "exclusive"
        self.demotes_clean = system.clean_evictions == "demote"
        self.computes = system.origin.kind == "compute"
        self.computes_in_place = system.origin.kind == "compute" and system.origin.enters == "first"
        self.polluted: set[int] = set()
        """What prefetches have pushed out of tier 0 (rule R20)."""
        self.n_prefetches = self.prefetch_bytes = 0
        """Of prefetches that are issued, not landed and not met by a demand: the budget's (rules R10, R24)."""

    def holders(self, key: int) -> list[int]:
        """The levels of the tiers that hold a block, nearest first."""
        return [tier.level for tier in self.tiers if key in tier.blocks]

    def link_from(self, level: int, is_down: bool = False) -> Link:
        """The link by which a block leaves a level."""
        is_computed = level == self.origin and self.computes_in_place
        return self.links[level if is_down or is_computed else level - 1]

    def fetch(
        self, key: int, size: int, kind: int, prefetch: "Prefetch | None" = None, *, is_behind: bool = False
    ) -> Transfer:
        """Start a block on its way to tier 0, from the nearest tier that holds it, else from the origin (rule R4).

        ``size`` counts where no tier holds it (rule R29). The tier that does uses it now, not at the hop (rule R25).
        One that ``is_behind`` a missing one is computed, and takes the place of its copies (rule R41).
        """
        source, dirty = min(self.holders(key), default=self.origin), CLEAN
        if source < self.origin:
            size = self.tiers[source].blocks[key].size
            if is_behind and self.computes:
                source, dirty = self.origin, max(self._drop(level, key).dirty for level in self.holders(key))
            else:
                self.use(source, key)
        if kind == PREFETCH:
            self._count_prefetch(1, size)
        return Transfer(self.model, key, size, kind, source, dirty, prefetch)

    def _drop(self, level: int, key: int) -> Block:
        block = self.tiers[level].remove(key)
        assert block is not None
        return block

    def compute_again(self, key: int, size: int) -> Transfer:
        """Start the computing of a block that tier 0 has, or that comes too late: it is of no use (R41, R45)."""
        return Transfer(self.model, key, size, DEMAND, self.origin, is_again=True)

    def _count_prefetch(self, n: int, size: int) -> None:
        self.n_prefetches += n
        self.prefetch_bytes += n * size

    def demand(self, transfer: Transfer) -> None:
        """An access waits for it: from now on it is demand, and counts against no budget (rules R8, R21, R24)."""
        if transfer.priority == PREFETCH:
            self._count_prefetch(-1, transfer.size)
        if transfer.priority != DEMAND:
            transfer.priority = DEMAND
            transfer.claim.promote()

    def cancel(self, transfer: Transfer) -> None:
        """A prefetch has queued for too long; what its source evicted meanwhile is saved all the same (rule R10)."""
        del self.model.flight[transfer.key]
        self._count_prefetch(-1, transfer.size)
        transfer.claim.resource.bytes_asked[transfer.kind] -= transfer.size
        self.model.ledger.cancel(transfer)
        if self.model.lives is not None:
            self.model.lives.look_again()
        self._write_down(transfer.source, transfer.key, transfer.size, transfer.dirty, demotes=False)

    def end_hop(self, transfer: Transfer) -> Tier | None:
        """A hop is over: the tier that takes in the block now, if one does."""
        if transfer.is_down:
            transfer.level += 1
            takes = not transfer.is_obsolete and transfer.level < self.origin
        elif self.computes_in_place and transfer.level == self.origin:
            transfer.level, transfer.dirty, takes = 0, max(transfer.dirty, COMPUTED), True
        else:
            transfer.level -= 1
            takes = transfer.level == 0 or not self.is_exclusive
        return self.tiers[transfer.level] if takes and not transfer.is_again else None

    def arrive(self, transfer: Transfer) -> bool:
        """A hop is over, and the tier open (rule R40); whether the way is over, too."""
        if transfer.is_down:
            self._arrive_below(transfer)
            return True
        if transfer.is_again:
            if transfer.level == 0:
                self.model.tell("landed", transfer)
                self.model.accesses.land(transfer)
        elif transfer.level == 0:
            self._land(transfer)
        elif not self.is_exclusive:
            # A copy stays on each level of the way; what the transfer took over is this copy's from now on (rule R5).
            dirty, transfer.dirty = transfer.dirty, CLEAN
            self.insert(transfer.level, transfer.key, Block(transfer.size, dirty))
        return transfer.level == 0

    def _land(self, transfer: Transfer) -> None:
        """It is in tier 0. Exclusive: the source has held it all the way, and lets go of it now (rule R26)."""
        del self.model.flight[transfer.key]
        dirty = transfer.dirty
        if self.is_exclusive and transfer.source < self.origin:
            below = self.tiers[transfer.source].remove(transfer.key)
            dirty = max(dirty, below.dirty if below else CLEAN)
        if transfer.priority == PREFETCH:
            self._count_prefetch(-1, transfer.size)
        self.polluted.discard(transfer.key)
        is_prefetch = transfer.kind == PREFETCH
        self.insert(0, transfer.key, Block(transfer.size, dirty, transfer.prefetch), by_prefetch=is_prefetch)
        if self.model.lives is not None:
            self.model.lives.look_again()
        self.model.tell("landed", transfer)
        self.model.accesses.land(transfer)

    def _arrive_below(self, transfer: Transfer) -> None:
        """A write-back is there, and whoever waited for it looks again; one that is out of date lands nowhere."""
        if not transfer.is_obsolete:
            del self.model.flight[transfer.key]
            if transfer.level < self.origin:
                self.insert(transfer.level, transfer.key, Block(transfer.size, transfer.dirty))
        self.tiers[transfer.source].backlog.leave(transfer.size)
        self.model.tell("landed", transfer)
        self.model.accesses.look_again(transfer)

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
        self.model.tell("evicted", self.tiers[level], key, victim)
        if victim.prefetch is not None:
            self.model.ledger.evict(victim.prefetch)
        moving, holders = self.model.flight.get(key), self.holders(key)
        if moving is not None:
            # It is on its way up: the lowest copy that it has left answers for it, or else the transfer itself.
            above = [holder for holder in holders if holder < level]
            heir = self.tiers[above[-1]].blocks[key] if above else moving
            heir.dirty = max(heir.dirty, victim.dirty)
        elif max(holders, default=-1) < level:
            self._write_down(level, key, victim.size, victim.dirty, self.demotes_clean)

    def _write_down(self, level: int, key: int, size: int, dirty: int, demotes: bool) -> None:
        """Save what is nowhere else one level down: what was written always, the rest where a tier can hold it (R5)."""
        into_tier = level + 1 < self.origin
        if dirty == WRITTEN or (into_tier and (dirty == COMPUTED or demotes)):
            self.tiers[level].backlog.add(size)
            Transfer(self.model, key, size, WRITE_BACK, level, dirty)

    def allocate(self, key: int, size: int) -> None:
        """A write to a block that tier 0 does not hold: it covers the whole block, so nothing is fetched (rule R5)."""
        # First: what is not admitted is written down at once, and that write-back is not out of date.
        self.invalidate_below(key)
        self.insert(0, key, Block(size, WRITTEN))

    def invalidate_below(self, key: int) -> None:
        """Only the copy in tier 0 counts: those below, and any on its way down, are out of date (rule R5)."""
        for tier in self.tiers[1:]:
            tier.remove(key)
        old = self.model.flight.pop(key, None)
        if old is not None:
            old.is_obsolete = True
        self.model.tell("written", key)
