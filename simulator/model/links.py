"""Links between neighbouring levels, and the order of what happens at one instant (R2, R4, R8, R10, R11, R46, R47)."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import count
from math import ceil
from typing import TYPE_CHECKING, Any, cast

from simpy import Environment, Event, PriorityResource
from simpy.core import BoundClass
from simpy.resources.resource import PriorityRequest

from simulator.config import ComputeOrigin, System
from simulator.link_table import LinkTable, Rows
from simulator.model.spread import Factors

if TYPE_CHECKING:
    from simulator.model.memory import Transfer

# SimPy sorts events by time, then by priority, then by when they were scheduled. What something brings about at once
# are SimPy's own events (a process starts, goes on, ends), of priority 0 and 1. Then come these phases (rule R2):
END = 2  # the last access is served, and nothing else happens (rule R34);
COMPLETION = 3  # a call over a link or an inference is over, those of one instant in the order in which they began;
SERVE = 4  # all completions are applied: free servers take up questions;
SPARE = 5  # a server that is still free goes on with the policy's update;
CHOICE = 6  # free channels take up transfers, tier 0's link first: CHOICE + the link's number;
OBSERVE = 31  # nothing of the model's: for processes of one's own that are to come after all of that;
ISSUE = 32  # accesses are issued, the first stream's first: ISSUE + the stream's number.

DEMAND, PREFETCH, WRITE_BACK = range(3)
"""Priorities, and what a transfer may be started as (rule R8)."""


class Instant(Event):
    """A timeout that comes in a phase of its instant: ``yield Instant(env, COMPLETION, 500)``."""

    def __init__(self, env: Environment, phase: int, delay: int = 0) -> None:
        super().__init__(env)
        self._ok, self._value = True, None
        # SimPy names but two priorities, and sorts by any number.
        env.schedule(self, cast(Any, phase), delay)


def ceil_div(numerator: int, denominator: int) -> int:
    """Rounds up: nothing takes less time than it should."""
    return -(-numerator // denominator)


class Claim(PriorityRequest):
    """A request for a channel, by a ``transfer`` or by a process of one's own, which gets a channel to itself.

    A transfer gets the end of its call, which it may share with others, or None: it has queued for too long.
    """

    resource: "Link"

    def __init__(
        self, link: "Link", priority: int = DEMAND, preempt: bool = False, *, transfer: "Transfer | None" = None
    ) -> None:
        self.transfer, self.channel = transfer, -1
        super().__init__(link, priority, preempt)

    def promote(self) -> None:
        """Join the tail of the demand queue, unless its call is under way (rule R21)."""
        if not self.triggered:
            self.resource.queue.remove(self)
            self.priority, self.key = DEMAND, (DEMAND, self.env.now, not self.preempt)
            self.resource.queue.append(self)


class Link(PriorityResource):
    """The way between a level and the one below; ``capacity`` is its channels, of which each makes a call at a time.

    ``moving(n_bytes, is_down, at_once)`` is of a call, ``making(n_bytes, is_down)`` of blocks that are made on the way,
    ``max_wait_ns`` of a prefetch in the queue, ``queue_ns`` and ``transfer_ns`` of accesses that waited here, all in
    ns. What moves takes ``spreads`` by whether it goes down, or always the same. ``bytes_*`` are by what a transfer was
    started as.
    """

    queue: Any
    users: list[Claim]  # type: ignore[assignment]
    request: Any = BoundClass(Claim)

    def __init__(
        self, env: Environment, index: int, name: str, channels: int, blocks_per_call: int,
        moving: Callable[[int, bool, int], int], making: Callable[[int, bool], int], max_wait: int | None,
        spreads: Sequence[Factors | None] = (None, None), n_calls: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(env, channels)
        self.index, self.name, self.blocks_per_call = index, name, blocks_per_call
        self.moving, self.making, self.spreads, self.n_calls = moving, making, spreads, n_calls
        self.will_choose = False
        self.max_wait_ns = float("inf") if max_wait is None else max_wait
        self.queue_ns = self.transfer_ns = 0
        self.bytes_asked, self.bytes_started = [0] * 3, [0] * 3

    def duration(self, n_bytes: int, is_down: bool, at_once: int) -> int:
        """A call, in ns, by no drawn factor."""
        return self.moving(n_bytes, is_down, at_once) + self.making(n_bytes, is_down)

    def _drawn_duration(self, n_bytes: int, is_down: bool) -> int:
        """The call that begins now, in ns: making blocks takes the same each time (rule R47)."""
        spread, moving = self.spreads[is_down], self.moving(n_bytes, is_down, self.count)
        if spread is not None:
            moving = spread.stretch(moving, self.n_calls)
        self.n_calls += 1
        return moving + self.making(n_bytes, is_down)

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
        return max(self.n_queued(PREFETCH) - max(self.n_free, n_demands), 0)

    def _trigger_put(self, _: object) -> None:
        """SimPy would grant requests now; a link chooses when all completions of this instant are applied (rule R2)."""
        if self.queue and self.n_free and not self.will_choose:
            self.will_choose = True
            Instant(self._env, CHOICE + self.index).callbacks.append(self.choose)

    def choose(self, _: object = None) -> None:
        """Each free channel takes the oldest of the most urgent, and what may share its call (rules R8, R11)."""
        self.will_choose = False
        while self.queue and self.n_free:
            call: list[Claim] = []
            while self.queue and self._may_share(call, self.queue[0]):
                claim = self.queue.pop(0)
                if claim.priority == PREFETCH and claim.transfer and self._env.now - claim.time > self.max_wait_ns:
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

    def _start(self, call: list[Claim]) -> None:
        # The first one holds the first channel that is free, for all of them.
        taken = {claim.channel for claim in self.users}
        call[0].channel = next(channel for channel in count() if channel not in taken)
        self.users.append(call[0])
        transfers = [claim.transfer for claim in call if claim.transfer is not None]
        for transfer in transfers:
            self.bytes_started[transfer.kind] += transfer.size
        n_bytes = sum(transfer.size for transfer in transfers)
        ns = self._drawn_duration(n_bytes, transfers[0].is_down) if transfers else 0
        end = Instant(self._env, COMPLETION, ns) if transfers else None
        for claim in call:
            claim.usage_since = self._env.now
            claim.succeed(end)
        if transfers:
            transfers[0].model.ledger.begin_call(self, call[0].channel, transfers, ns)


def make_links(env: Environment, system: System, seed: int = 0, first_access: int = 0) -> list[Link]:
    """The link below each tier; behind them, where blocks are computed in tier 0, the computing (rules R4, R6).

    Calls are numbered from ``first_access`` on (rule R47).
    """
    names, max_wait, origin = system.link_names(), system.prefetch.max_wait, system.origin
    enters = origin.enters if isinstance(origin, ComputeOrigin) else None
    links = []
    for i, link in enumerate(system.links):
        making = _computing(system) if enters == "last" and i == len(system.links) - 1 else _nothing
        both = (link.spread, link.write_spread or link.spread)
        spreads = [None if points is None else Factors(points, seed, "link", str(i)) for points in both]
        moving = _moving(system, i)
        links.append(
            Link(
                env, i, names[i], link.channels, link.blocks_per_call, moving, making, max_wait, spreads, first_access
            )
        )  # fmt: skip
    if isinstance(origin, ComputeOrigin) and enters == "first":
        links.append(Link(env, len(links), names[-1], origin.channels, 1, _nothing, _computing(system), max_wait))
    return links


def _nothing(*_: object) -> int:
    return 0


def _computing(system: System) -> Callable[[int, bool], int]:
    """Making what goes up (rule R6)."""
    per_mib, call = system.computing
    return lambda n_bytes, is_down: 0 if is_down else call + ceil_div(n_bytes * per_mib, 2**20)


def _measured(table: LinkTable, rows: Rows, n_bytes: int, at_once: int) -> int:
    """On the lines between what was measured, each time rounded up (rule R46)."""
    by_calls = [_on_line(table.sizes, row, max(n_bytes, table.sizes[0])) for row in rows]
    return _on_line(table.at_once, by_calls, min(at_once, table.at_once[-1]))


def _on_line(places: Sequence[int], values: Sequence[int], place: int) -> int:
    if len(places) == 1:
        return values[0]
    i = min(max(bisect_left(places, place), 1), len(places) - 1)
    slope = Fraction(values[i] - values[i - 1], places[i] - places[i - 1])
    return values[i - 1] + ceil(slope * (place - places[i - 1]))


def _moving(system: System, i: int) -> Callable[[int, bool, int], int]:
    """Latency where bytes are read + the call + bytes over the slowest of the link and its two ends (rule R4).

    Where it was measured, that is what it takes, by how many calls are on the link.
    """
    link, above, origin = system.links[i], system.tiers[i], system.origin
    below = system.tiers[i + 1] if i + 1 < len(system.tiers) else None
    read = min([link.read_bandwidth, above.write_bandwidth, *([below.read_bandwidth] if below else [])])
    write = min([link.write_bandwidth, above.read_bandwidth, *([below.write_bandwidth] if below else [])])

    def moving(n_bytes: int, is_down: bool, at_once: int) -> int:
        table = link.table
        rows = None if table is None else table.write if is_down else table.read
        if table is not None and rows is not None:
            return _measured(table, rows, n_bytes, at_once)
        if is_down:
            return link.call + above.latency + ceil_div(n_bytes * 10**9, write)
        ns = link.call + ceil_div(n_bytes * 10**9, read)
        if below is not None:
            return ns + below.latency
        return ns + (0 if isinstance(origin, ComputeOrigin) else origin.latency)

    return moving
