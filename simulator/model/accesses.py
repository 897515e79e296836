"""An access: look up, wait, be served (rules R4, R9, R17, R18, R29)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from simpy import Event

from simulator.model.links import DEMAND, PREFETCH, ceil_div
from simulator.model.transfers import WRITTEN, Transfer
from simulator.policy import Outcome
from simulator.trace import WRITE

if TYPE_CHECKING:
    from simulator.model.model import Model

_PPM = 10**6


@dataclass(slots=True, eq=False)
class Access:
    """One row of the trace, and what became of it; ``shadow``: -1, or what a tier 0 without prefetching would find."""

    index: int
    stream: int
    request: int
    key: int
    size: int
    op: int
    arrival_ns: int
    issued_ns: int = 0
    outcome: Outcome = Outcome.MISS
    shadow: int = -1
    joined_ns: int = 0
    """Since when it has waited for a transfer."""
    transfer_ns: int = 0
    inference_ns: int = 0
    end_ns: int = 0
    served: Event | None = None
    """Where it had to wait: happens when it waits no more, and its service begins."""


class Accesses:
    """How accesses are served from tier 0."""

    def __init__(self, model: "Model") -> None:
        self.model = model
        self.tier = model.memory.tiers[0]
        self.config = model.system.tiers[0]
        self.slow_ppm = round(model.system.inference.gpu_slowdown * _PPM)

    def service_ns(self, access: Access) -> int:
        """Latency + the access's own bytes over the bandwidth, slower while an inference shares the GPU (R13, R29)."""
        rate = self.config.write_bandwidth if access.op == WRITE else self.config.read_bandwidth
        ns = self.config.latency + ceil_div(access.size * 10**9, rate)
        return ceil_div(ns * self.slow_ppm, _PPM) if self.model.asking.n_busy else ns

    def peek(self, key: int) -> Outcome:
        """What a look-up would find, without using the block."""
        block = self.tier.blocks.get(key)
        if block is None:
            return Outcome.MISS
        return Outcome.HIT if block.prefetch is None else Outcome.HIT_PREFETCHED

    def look_up(self, access: Access) -> None:
        """Serve it now if tier 0 has its block; else it waits."""
        access.outcome = self.peek(access.key)
        if access.outcome == Outcome.MISS:
            self._not_there(access)
        else:
            self._use(access)
            self._serve(access)

    def _use(self, access: Access) -> None:
        """Tier 0 holds the block: the eviction policy sees a use, a prefetch its first one, a write leaves it dirty."""
        block = self.tier.blocks[access.key]
        self.tier.eviction.request(access.key, block.size)
        if block.prefetch is not None:
            self.model.ledger.used(block.prefetch, access)
            block.prefetch = None
        if access.op == WRITE and block.dirty != WRITTEN:
            block.dirty = WRITTEN
            self.model.memory.written(access.key)

    def _not_there(self, access: Access) -> None:
        model, key = self.model, access.key
        transfer = model.flight.get(key)
        if transfer is not None:
            self._join(access, transfer)
            return
        if model.computes:
            model.known.add(key)
        if key in model.polluted:
            model.polluted.remove(key)
            model.ledger.n_pollution += 1
            model.asking.told.n_polluted += 1
        if access.op == WRITE:
            model.memory.allocate(key, access.size)
            self._serve(access)
        else:
            self._wait(access, model.memory.fetch(key, access.size, DEMAND))

    def _join(self, access: Access, transfer: Transfer) -> None:
        """Its block is in flight (rule R9). On its way down: it is looked up again when it has landed (rule R22)."""
        if not transfer.is_down:
            access.outcome = Outcome.MERGED
            if transfer.priority == PREFETCH:
                assert transfer.prefetch is not None
                access.outcome = Outcome.LATE
                self.model.ledger.met(transfer.prefetch, access)
                transfer.late, transfer.prefetch = transfer.prefetch, None
        transfer.demanded()
        self._wait(access, transfer)

    def _wait(self, access: Access, transfer: Transfer) -> None:
        access.joined_ns = self.model.env.now
        transfer.waiters.append(access)
        if access.served is None:
            access.served = self.model.env.event()

    def landed(self, transfer: Transfer) -> None:
        """A block is in tier 0: those who waited are served, in the order in which they came."""
        self.model.ledger.filled(transfer)
        for access in transfer.waiters:
            # To come in on behalf of a miss is no use on top of it; every other waiter's is.
            if access.outcome != Outcome.MISS:
                if access.key in self.tier.blocks:
                    self._use(access)
                elif access.op == WRITE:
                    # It was not admitted: the write allocates as one that finds nothing does.
                    self.model.memory.allocate(access.key, access.size)
            access.transfer_ns = transfer.waited(access.joined_ns)
            self._serve(access)

    def written_back(self, transfer: Transfer) -> None:
        """A block has landed below: those who waited for that look again; the wait was queueing."""
        for access in transfer.waiters:
            transfer.claim.resource.queue_ns += self.model.env.now - access.joined_ns
            self.look_up(access)

    def _serve(self, access: Access) -> None:
        """Its block is there, and its service begins."""
        service_ns = self.service_ns(access)
        access.end_ns = self.model.env.now + service_ns
        self.model.ledger.served(access, service_ns)
        if access.served is not None:
            access.served.succeed()
        self.model.served(access)
