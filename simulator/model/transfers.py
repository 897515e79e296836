"""A block on its way between levels: at most one of each key is in flight (rules R4, R8, R9, R10)."""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from simulator.model.links import DEMAND, PREFETCH, WRITE_BACK, Claim, Link

if TYPE_CHECKING:
    from simulator.model.accesses import Access
    from simulator.model.ledger import Prefetch
    from simulator.model.model import Model

CLEAN, COMPUTED, WRITTEN = range(3)
"""How dirty a block is: what was computed can be computed again, what was written is nowhere else."""


class Transfer:
    """A fetch or a prefetch, from its ``source`` up to tier 0, or a write-back, one level down.

    It is made where it starts and claims its first link at once, so that whatever counts transfers counts it.
    """

    def __init__(
        self, model: "Model", key: int, size: int, kind: int, source: int, *, dirty: int = CLEAN,
        prefetch: "Prefetch | None" = None,
    ) -> None:  # fmt: skip
        self.model, self.key, self.size, self.source, self.dirty = model, key, size, source, dirty
        self.kind = self.priority = kind
        """What it was started as, and what it counts as now: demand, prefetch or write-back."""
        self.level = source
        """Where the block has got to."""
        self.is_obsolete = False
        """Of a write-back: the block was written since, so that it lands nowhere."""
        self.prefetch = prefetch
        """The prefetch behind it, until a demand meets it; from then on that is ``late``."""
        self.late: Prefetch | None = None
        self.waiters: list[Access] = []
        self.path: list[tuple[Link, int, int, int]] = []
        """Of each hop that is over: its link, and when it queued, started and ended."""
        model.flight[key] = self
        if kind == PREFETCH:
            model.budget.take(size)
        self.claim = self._next_claim()
        self.process = model.env.process(self._travel())

    @property
    def is_down(self) -> bool:
        """Whether it is a write-back."""
        return self.kind == WRITE_BACK

    def _next_claim(self) -> Claim:
        link = self.model.link_from(self.level, self.is_down)
        link.bytes_asked[self.kind] += self.size
        claim: Claim = link.request(self.priority, self)
        return claim

    def _travel(self) -> Generator[Any, Any, None]:
        """The process: hop by hop, and on each link wait for a channel and for the call to end."""
        while True:
            queued_ns = self.model.env.now
            with self.claim as claim:
                call = yield claim
                if call is None:
                    self._give_up()
                    return
                started_ns = self.model.env.now
                yield call
            self.path.append((claim.resource, queued_ns, started_ns, self.model.env.now))
            if self.model.memory.arrived(self):
                return
            self.claim = self._next_claim()

    def demanded(self) -> None:
        """An access waits for it: it is demand from now on, and no prefetch against the budget (rules R8, R21, R24)."""
        if self.priority == PREFETCH:
            self.model.budget.give_back(self.size)
        self.priority = DEMAND
        if self.claim.priority != DEMAND:
            self.claim.promote()

    def leave(self) -> None:
        """Its block is in flight no more."""
        del self.model.flight[self.key]

    def _give_up(self) -> None:
        """A prefetch that queued for too long; what its source evicted meanwhile is saved all the same."""
        self.leave()
        self.model.budget.give_back(self.size)
        self.claim.resource.bytes_asked[self.kind] -= self.size
        assert self.prefetch is not None
        self.model.ledger.cancelled(self.prefetch)
        if self.dirty != CLEAN:
            self.model.memory.write_down(self.source, self.key, self.size, self.dirty)

    def waited(self, since_ns: int) -> int:
        """How long of an access's wait since then the block was in service, in ns; each link is told its part (R18)."""
        moved = 0
        for link, queued_ns, started_ns, ended_ns in self.path:
            if ended_ns > since_ns:
                in_service = ended_ns - max(started_ns, since_ns)
                link.queue_ns += max(started_ns - max(queued_ns, since_ns), 0)
                link.transfer_ns += in_service
                moved += in_service
        return moved


class Budget:
    """What prefetches that are issued, not landed and not met by a demand may hold (rules R10, R24)."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self.most, self.most_bytes = most, most_bytes
        self.n = self.n_bytes = 0

    def allows(self, size: int) -> bool:
        """Whether one more fits."""
        return self.n < self.most and self.n_bytes + size <= self.most_bytes

    def take(self, size: int) -> None:
        """One is issued."""
        self.n += 1
        self.n_bytes += size

    def give_back(self, size: int) -> None:
        """One has landed, was met by a demand or was given up."""
        self.n -= 1
        self.n_bytes -= size
