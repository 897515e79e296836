"""Links between neighbouring levels: channels, priorities, promotion, shared calls (rules R4, R8, R11, R21, R22)."""

from bisect import bisect_left, insort
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from simpy import Environment, PriorityResource
from simpy.core import BoundClass
from simpy.resources.resource import PriorityRequest

from simulator.config import ComputeOrigin, System
from simulator.model.instants import CHOICE, COMPLETION, Instant

if TYPE_CHECKING:
    from simulator.model.transfers import Transfer

DEMAND, PREFETCH, WRITE_BACK = range(3)
"""Priorities, the most urgent first (rule R8)."""


def ceil_div(numerator: int, denominator: int) -> int:
    """Rounds up: nothing takes less time than it should."""
    return -(-numerator // denominator)


class Claim(PriorityRequest):
    """A request for a channel, for a ``transfer`` or for a process of one's own.

    A transfer is granted the end of its call, or None: it has waited for too long. Several may share a call. Any other
    request has a channel for itself, until it is released.
    """

    resource: "Link"

    def __init__(self, link: "Link", priority: int = DEMAND, transfer: "Transfer | None" = None) -> None:
        self.transfer = transfer
        super().__init__(link, priority)

    def promote(self) -> None:
        """Where it still waits: it joins the tail of the demand queue (rule R21)."""
        if not self.triggered:
            self.resource.queue.remove(self)
            self.priority, self.time = DEMAND, self.env.now
            self.key = (self.priority, self.time, not self.preempt)
            self.resource.queue.append(self)


class Queue(list[Claim]):
    """Claims by priority, those of one priority in the order in which they came."""

    def append(self, claim: Claim) -> None:
        """Sort it in."""
        insort(self, claim, key=lambda c: c.key)


class Link(PriorityResource):
    """The way from a level to the one below; ``capacity`` is the number of channels, each a call at a time."""

    PutQueue = Queue
    queue: Queue  # type: ignore[assignment]
    request: Any = BoundClass(Claim)

    def __init__(
        self, env: Environment, index: int, name: str, channels: int, blocks_per_call: int,
        duration: Callable[[int, bool], int], max_wait: int | None,
    ) -> None:  # fmt: skip
        """``duration(n_bytes, down)`` is of a call, in ns; ``max_wait`` is how long a prefetch may queue, in ns."""
        super().__init__(env, channels)
        self.index, self.name, self.blocks_per_call = index, name, blocks_per_call
        self.duration, self.max_wait = duration, max_wait
        self.bytes_asked, self.bytes_started = [0] * 3, [0] * 3
        """By what a transfer was started as: demand, prefetch, write-back."""
        self.queue_ns = self.transfer_ns = 0
        """What accesses waited here: in the queue, and while their block was on the link."""
        self._will_choose = False

    @property
    def n_free(self) -> int:
        """Channels that nobody uses."""
        return int(self.capacity) - self.count

    def n_queued(self, priority: int) -> int:
        """How many wait that are at least so urgent."""
        return bisect_left(self.queue, (priority + 1,), key=lambda claim: claim.key)

    def n_prefetches_waiting(self) -> int:
        """Prefetches that no channel would be left for if the link chose now (rule R23)."""
        n_demands = self.n_queued(DEMAND)
        return max(self.n_queued(PREFETCH) - n_demands - max(self.n_free - n_demands, 0), 0)

    def _trigger_put(self, _: object) -> None:
        """SimPy would grant requests here and now; a link chooses when this instant's completions are applied (R2)."""
        if not self._will_choose and self.queue and self.n_free:
            self._will_choose = True
            Instant(self._env, CHOICE + self.index).callbacks.append(lambda _: self.choose())  # type: ignore[union-attr]

    def choose(self) -> None:
        """Every free channel takes the oldest of the most urgent, and as many of its kind as may share a call (R11)."""
        self._will_choose = False
        while self.queue and self.n_free:
            call: list[Claim] = []
            while self.queue and self._may_share(call, self.queue[0]):
                claim = self.queue.pop(0)
                if self._is_overdue(claim):
                    claim.succeed(None)
                else:
                    call.append(claim)
            if call:
                self._start(call)

    def _may_share(self, call: list[Claim], claim: Claim) -> bool:
        """Those of one call have one priority and one direction."""
        if not call:
            return True
        first, other = call[0].transfer, claim.transfer
        is_alike = first is not None and other is not None and first.is_down == other.is_down
        return is_alike and call[0].priority == claim.priority and len(call) < self.blocks_per_call

    def _is_overdue(self, claim: Claim) -> bool:
        """Whether a prefetch has queued for longer than it may (rule R10)."""
        is_prefetch = claim.transfer is not None and claim.priority == PREFETCH
        return is_prefetch and self.max_wait is not None and self._env.now - claim.time > self.max_wait

    def _start(self, call: list[Claim]) -> None:
        # The first one holds the channel for all of them.
        self.users.append(call[0])
        transfers = [claim.transfer for claim in call if claim.transfer is not None]
        end = None
        if transfers:
            n_bytes = sum(transfer.size for transfer in transfers)
            end = Instant(self._env, COMPLETION, self.duration(n_bytes, transfers[0].is_down))
        for transfer in transfers:
            self.bytes_started[transfer.kind] += transfer.size
        for claim in call:
            claim.usage_since = self._env.now
            claim.succeed(end)


def make_links(env: Environment, system: System) -> list[Link]:
    """The link below each tier; behind them, where blocks are computed in tier 0, the computing (rules R4, R6)."""
    names, max_wait = system.link_names(), system.prefetch.max_wait
    links = [
        Link(env, i, names[i], link.channels, link.blocks_per_call, _duration(system, i), max_wait)
        for i, link in enumerate(system.links)
    ]
    origin = system.origin
    if isinstance(origin, ComputeOrigin) and origin.enters == "first":
        links.append(Link(env, len(links), names[-1], origin.channels, 1, lambda n, _: _computing(origin, n), max_wait))
    return links


def _computing(origin: ComputeOrigin, n_bytes: int) -> int:
    return origin.call + ceil_div(n_bytes * origin.per_mib, 2**20)


def _duration(system: System, i: int) -> Callable[[int, bool], int]:
    """Latency of where the bytes are read + the call + bytes over the slowest of the link and both its ends."""
    link, above, origin = system.links[i], system.tiers[i], system.origin
    below = system.tiers[i + 1] if i + 1 < len(system.tiers) else None

    def duration(n_bytes: int, is_down: bool) -> int:
        if is_down:
            rates = [link.write_bandwidth, above.read_bandwidth, *([below.write_bandwidth] if below else [])]
            return link.call + above.latency + ceil_div(n_bytes * 10**9, min(rates))
        rates = [link.read_bandwidth, above.write_bandwidth, *([below.read_bandwidth] if below else [])]
        ns = link.call + ceil_div(n_bytes * 10**9, min(rates))
        if below is not None:
            return ns + below.latency
        return ns + (_computing(origin, n_bytes) if isinstance(origin, ComputeOrigin) else origin.latency)

    return duration
