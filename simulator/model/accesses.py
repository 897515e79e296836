"""Accesses, and the streams that issue them (rules R2, R4, R9, R13, R17, R18, R22, R29, R30, R40, R41, R47)."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simpy import Event

from simulator.config import Closed
from simulator.model.links import DEMAND, ISSUE, PREFETCH, Instant, ceil_div
from simulator.model.memory import WRITTEN, Transfer
from simulator.model.spread import Factors
from simulator.policy import Outcome
from simulator.trace import WRITE

if TYPE_CHECKING:
    from simulator.model.model import Model

_PPM = 10**6


@dataclass(slots=True, eq=False)
class Access:
    """One row of the trace, and what became of it.

    ``shadow`` is -1, or whether a tier 0 without prefetching misses it. One that has to wait does so from ``joined_ns``
    on for a transfer; ``served`` happens when its block is there and its service begins. ``is_behind``: a block
    before it in its request is missing (rule R41). ``shown`` has the columns that the policy asks for, ``decode_ns``
    what its request's answer takes (-1: not said), ``issuer`` the place that its request has (rule R45).
    """

    index: int
    stream: int
    request: int
    key: int
    size: int
    op: int
    arrival_ns: int
    shown: tuple[int, ...] = ()
    decode_ns: int = -1
    issuer: int = -1
    issued_ns: int = 0
    outcome: Outcome = Outcome.MISS
    shadow: int = -1
    joined_ns: int = 0
    transfer_ns: int = 0
    inference_ns: int = 0
    end_ns: int = 0
    is_behind: bool = False
    served: Event | None = None


class Accesses:
    """How accesses are served from tier 0."""

    def __init__(self, model: "Model", seed: int) -> None:
        self.model, self.memory, self.tier = model, model.memory, model.memory.tiers[0]
        self.config = model.system.tiers[0]
        self.slow_ppm = round(model.system.inference.gpu_slowdown * _PPM)
        self.spread = self.config.spread and Factors(self.config.spread, seed, "service")

    def peek(self, key: int) -> Outcome:
        """What a look-up would find, without using the block."""
        block = self.tier.blocks.get(key)
        if block is None:
            return Outcome.MISS
        return Outcome.HIT if block.prefetch is None else Outcome.HIT_PREFETCHED

    def look_up(self, access: Access, has_turn: bool = False) -> None:
        """Serve it now if tier 0 has its block; else it waits (rules R4, R17), a write unless it ``has_turn`` (R40)."""
        access.outcome = self.peek(access.key)
        if access.outcome == Outcome.MISS:
            self._join_or_fetch(access, has_turn)
            return
        self._use(access)
        if access.is_behind:
            self.model.ledger.hit_behind(access)
        if access.is_behind and self.memory.computes:
            self._wait(access, self.memory.compute_again(access.key, self.tier.blocks[access.key].size))
        else:
            self._serve(access)

    def _use(self, access: Access) -> None:
        """Tier 0 holds the block: its eviction policy sees a use, a prefetch its first one, a write leaves it dirty."""
        block = self.tier.blocks[access.key]
        self.memory.use(0, access.key)
        if block.prefetch is not None:
            self.model.ledger.use(block.prefetch, access)
            block.prefetch = None
        if access.op == WRITE and block.dirty != WRITTEN:
            block.dirty = WRITTEN
            self.memory.invalidate_below(access.key)

    def _join_or_fetch(self, access: Access, has_turn: bool) -> None:
        key, transfer = access.key, self.model.flight.get(access.key)
        if transfer is not None:
            lives = self.model.lives
            if access.is_behind and lives is not None and lives.gives_up(transfer):
                self.model.asking.told.n_polluted += access.shadow == 0
                self._wait(access, self.memory.compute_again(key, transfer.size))
            else:
                self._join(access, transfer)
            return
        if access.op == WRITE and not has_turn and self.tier.backlog.is_shut:
            access.joined_ns, access.served = self.model.now, access.served or self.model.env.event()
            self.tier.backlog.line.append(lambda: self._take_turn(access))
            return
        self.model.asking.exists(key)
        if key in self.memory.polluted:
            self.memory.polluted.remove(key)
            self.model.ledger.pollute(access)
        # Of what prefetches evicted much would have been pushed out all the same, and what that misses pushes out more.
        self.model.asking.told.n_polluted += access.shadow == 0
        size = access.size
        if access.op == WRITE:
            self.memory.allocate(key, size)
        else:
            transfer = self.memory.fetch(key, size, DEMAND, is_behind=access.is_behind)
            size = transfer.size
        if size > self.model.capacities[0]:
            self.model.ledger.bypass(access)
        if transfer is None:
            self._serve(access)
        else:
            self._wait(access, transfer)

    def _join(self, access: Access, transfer: Transfer) -> None:
        """Its block is in flight (rule R9). On its way down: it is looked up again when that has landed (rule R22)."""
        if transfer.priority == PREFETCH:
            access.outcome = Outcome.LATE
            self.model.ledger.meet(transfer, access)
        elif not transfer.is_down:
            access.outcome = Outcome.MERGED
        self.memory.demand(transfer)
        self._wait(access, transfer)

    def _wait(self, access: Access, transfer: Transfer) -> None:
        access.joined_ns = self.model.now
        transfer.waiters.append(access)
        access.served = access.served or self.model.env.event()

    def land(self, transfer: Transfer) -> None:
        """A block is in tier 0: those who waited are served, in the order in which they came."""
        self.model.ledger.fill(transfer)
        for access in transfer.waiters:
            # To come in on behalf of a miss is no use on top of it; every other waiter's is.
            if access.outcome != Outcome.MISS and not transfer.is_again:
                if access.key in self.tier.blocks:
                    self._use(access)
                elif access.op == WRITE:
                    # It was not admitted: the write allocates as one that finds nothing does.
                    self.memory.allocate(access.key, access.size)
            access.transfer_ns = self.model.ledger.attribute(transfer, access)
            self._serve(access)

    def look_again(self, transfer: Transfer) -> None:
        """A block has landed below: those who waited for that look again; the wait was queueing (rule R22)."""
        for access in transfer.waiters:
            counts = self.model.ledger.is_judged(access.index)
            transfer.claim.resource.queue_ns += counts * (self.model.now - access.joined_ns)
            self.look_up(access)

    def _take_turn(self, access: Access) -> None:
        """A write that waited to come into tier 0 looks again, and the next one may come (rule R40)."""
        counts = self.model.ledger.is_judged(access.index)
        self.memory.links[0].queue_ns += counts * (self.model.now - access.joined_ns)
        self.look_up(access, has_turn=True)
        self.tier.backlog.open()

    def _serve(self, access: Access) -> None:
        """Its service begins: latency + its own bytes over the bandwidth (R29), by the factor that it draws (R47).

        Beside an inference it is slower (rule R13).
        """
        rate = self.config.write_bandwidth if access.op == WRITE else self.config.read_bandwidth
        service_ns = self.config.latency + ceil_div(access.size * 10**9, rate)
        if self.spread:
            service_ns = self.spread.stretch(service_ns, access.index)
        if self.model.asking.n_busy or self.model.asking.updating.is_on_server:
            service_ns = ceil_div(service_ns * self.slow_ppm, _PPM)
        access.end_ns = self.model.now + service_ns
        self.model.ledger.serve(access, service_ns)
        if access.served is not None:
            access.served.succeed()
        self.model.serve(access)


def closed_loop(model: "Model", stream: int, think_ns: int) -> Generator[Any, Any, None]:
    """The process of a stream: it issues a request, waits until all of it is over, thinks, and goes on (rule R30)."""
    ready_ns = 0
    for request in model.trace.requests(stream):
        for access in request:
            # Also between the accesses of a request: what completes in no time comes first.
            yield Instant(model.env, ISSUE + stream, max(ready_ns - model.now, 0))
            model.issue(access)
        for access in request:
            if access.served is not None:
                yield access.served
        ready_ns = max(access.end_ns for access in request) + think_ns


def open_loop(model: "Model") -> Generator[Any, Any, None]:
    """The process of arrivals: each access comes at its time, whatever has become of those before (rule R30)."""
    while (access := model.trace.next()) is not None:
        yield Instant(model.env, ISSUE, access.arrival_ns - model.now)
        model.issue(access)


def start(model: "Model") -> None:
    """Start the processes that issue accesses."""
    if model.lives is not None:
        model.env.process(model.lives.arrivals())
    elif isinstance(model.arrivals, Closed):
        for stream in range(model.trace.n_streams):
            model.env.process(closed_loop(model, stream, model.arrivals.think))
    else:
        model.env.process(open_loop(model))
