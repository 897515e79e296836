"""Transfers between neighbouring levels: channels, three queues, shared calls, promotion (rules R8 to R11).

Channels choose when all that happens at an instant is applied (``landing.choose``).
"""

from simulator.arrays import NONE
from simulator.compiled import internal
from simulator.durations import call_ns, measured_ns, stretched
from simulator.events import CALL_ENDS, schedule
from simulator.records import lists
from simulator.records.moving import IN_QUEUE, Link, Transfer, nth_link, transfer_at
from simulator.records.record import from_place
from simulator.records.run import Run

DEMAND, PREFETCH, WRITE_BACK = range(3)
PRIORITY_NAMES = ("demand", "prefetch", "write_back")


@internal
def link_of(run: Run, t: Transfer) -> Link:
    """The link that a transfer queues for or is on."""
    return nth_link(run, run.links, t.link)


@internal
def enqueue(run: Run, t: Transfer) -> None:
    """Wait behind the others of the same priority."""
    link = link_of(run, t)
    queue = link.queues[t.priority]
    lists.append(run, queue.list, t.at, IN_QUEUE)
    queue.n += 1
    link.n_queued += 1


@internal
def dequeue(run: Run, t: Transfer) -> None:
    """Wait no more."""
    link = link_of(run, t)
    queue = link.queues[t.priority]
    lists.remove(run, queue.list, t.at, IN_QUEUE)
    queue.n -= 1
    link.n_queued -= 1


@internal
def submit(run: Run, t: Transfer) -> None:
    """Queue for the hop: what it starts is chosen when all that happens at this instant is applied (rule R2)."""
    t.queued_ns, t.started_ns = run.now, NONE
    link_of(run, t).bytes_asked[t.class_] += t.size
    enqueue(run, t)
    run.must_choose = 1


@internal
def start(run: Run, first: Transfer) -> int:
    """A call begins, with this transfer and its mates; what it takes, in ns."""
    link = link_of(run, first)
    n_bytes = 0
    place = first.at
    while place != NONE:
        t = transfer_at(run, place)
        t.started_ns = run.now
        n_bytes += t.size
        link.bytes_started[t.class_] += t.size
        place = t.mate
    # Its channel is taken already.
    at_once = link.n_channels - link.n_free
    if not first.is_down:
        ns = read_ns(run, link, n_bytes, at_once)
    elif link.write_table != NONE:
        ns = measured_ns(from_place(run, link.write_table), n_bytes, at_once)
    else:
        ns = call_ns(link.call_ns, link.write_latency_ns, link.write_rate, 0, 0, n_bytes)
    if link.draws:
        ns = _drawn_ns(run, link, first.is_down, n_bytes, ns)
    schedule(run, ns, CALL_ENDS, first.at)
    return ns


@internal
def read_ns(run: Run, link: Link, n_bytes: int, at_once: int) -> int:
    """A call that moves so many bytes up, the last of so many at once, in ns, by no drawn factor."""
    if link.read_table != NONE:
        ns = measured_ns(from_place(run, link.read_table), n_bytes, at_once)
        return ns + call_ns(0, 0, 0, link.per_mib_ns, link.compute_call_ns, n_bytes)
    # Most blocks are as large as the one before, and to divide takes long.
    if n_bytes != link.timed_bytes:
        link.timed_bytes = n_bytes
        link.timed_ns = call_ns(
            link.call_ns, link.read_latency_ns, link.read_rate, link.per_mib_ns, link.compute_call_ns, n_bytes
        )
    return link.timed_ns


@internal
def _drawn_ns(run: Run, link: Link, is_down: int, n_bytes: int, ns: int) -> int:
    """The call that begins takes that by no drawn factor; by its own, in ns (rule R47)."""
    spread = link.write_spread if is_down else link.read_spread
    if spread != NONE:
        # Blocks are made in the same time each time.
        making = 0 if is_down else call_ns(0, 0, 0, link.per_mib_ns, link.compute_call_ns, n_bytes)
        ns = making + stretched(from_place(run, spread), ns - making, link.first_drawn, link.n_calls)
    link.n_calls += 1
    return ns


@internal
def promote(run: Run, t: Transfer) -> None:
    """A demand waits for it: it counts as demand from now on, behind those already queued (rule R21)."""
    if t.priority != DEMAND:
        queues = t.started_ns == NONE
        if queues:
            dequeue(run, t)
        t.priority = DEMAND
        if queues:
            enqueue(run, t)


@internal
def is_busy(link: Link) -> bool:
    """Whether a prefetch submitted now would have to wait: as many go before it as channels are free, or more."""
    return link.queues[DEMAND].n + link.queues[PREFETCH].n >= link.n_free


@internal
def n_waiting(link: Link) -> int:
    """Prefetches that would wait if the link chose now: those that no free channel is left for."""
    left = max(link.n_free - link.queues[DEMAND].n, 0)
    return max(link.queues[PREFETCH].n - left, 0)
