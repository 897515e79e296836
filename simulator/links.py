"""Transfers between neighbouring levels: channels, three queues, shared calls, promotion (rules R8 to R11).

Channels choose when all that happens at an instant is applied (``landing.choose``).
"""

from simulator.arrays import NONE, Ints
from simulator.compiled import compiled, internal
from simulator.events import CALL_ENDS, after
from simulator.hops import call_ns
from simulator.machine import (
    LINKS,
    NOW,
    T_CLASS,
    T_DOWN,
    T_LINK,
    T_MATE,
    T_NEXT,
    T_PREV,
    T_PRIORITY,
    T_QUEUED,
    T_SIZE,
    T_STARTED,
    TO_CHOOSE,
)

DEMAND, PREFETCH, WRITE_BACK = range(3)
PRIORITY_NAMES = ("demand", "prefetch", "write_back")
# A link's registers: what its hop takes, ...
(
    L_FREE, L_PER_CALL, L_CALL, L_READ_LATENCY, L_READ_RATE, L_WRITE_LATENCY, L_WRITE_RATE, L_PER_MIB, L_COMPUTE_CALL,
) = range(9)  # fmt: skip
# ... three of each: queues (first, last, how many), bytes started and bytes asked for by what they were started as; ...
L_QUEUES, L_STARTED, L_ASKED = 9, 18, 21
# ... and what accesses waited here, in ns: in its queues, and while their block was on it.
L_QUEUE_NS, L_TRANSFER_NS = 24, 25
LINK_FIELDS = 32
Q_FIRST, Q_LAST, Q_LENGTH = range(3)


@internal
def link_at(m: Ints, link: int) -> int:
    """Where a link's registers are."""
    return int(m[LINKS] + link * LINK_FIELDS)


@internal
def _queue(m: Ints, t: int) -> int:
    return int(link_at(m, m[t + T_LINK]) + L_QUEUES + 3 * m[t + T_PRIORITY])


@internal
def enqueue(m: Ints, t: int) -> None:
    """Wait behind the others of the same priority."""
    queue = _queue(m, t)
    last = m[queue + Q_LAST]
    m[t + T_PREV], m[t + T_NEXT] = last, NONE
    if last == NONE:
        m[queue + Q_FIRST] = t
    else:
        m[last + T_NEXT] = t
    m[queue + Q_LAST] = t
    m[queue + Q_LENGTH] += 1


@internal
def unqueue(m: Ints, t: int) -> None:
    """Wait no more."""
    queue = _queue(m, t)
    before, behind = m[t + T_PREV], m[t + T_NEXT]
    if before == NONE:
        m[queue + Q_FIRST] = behind
    else:
        m[before + T_NEXT] = behind
    if behind == NONE:
        m[queue + Q_LAST] = before
    else:
        m[behind + T_PREV] = before
    m[queue + Q_LENGTH] -= 1


@internal
def submit(m: Ints, t: int) -> None:
    """Queue for the hop: what it starts is chosen when all that happens at this instant is applied (rule R2)."""
    m[t + T_QUEUED] = m[NOW]
    m[t + T_STARTED] = NONE
    m[link_at(m, m[t + T_LINK]) + L_ASKED + m[t + T_CLASS]] += m[t + T_SIZE]
    enqueue(m, t)
    m[TO_CHOOSE] = 1


@internal
def start(m: Ints, first: int) -> None:
    """A call begins, with this transfer and its mates."""
    link = link_at(m, m[first + T_LINK])
    n_bytes = 0
    t = first
    while t != NONE:
        m[t + T_STARTED] = m[NOW]
        n_bytes += m[t + T_SIZE]
        m[link + L_STARTED + m[t + T_CLASS]] += m[t + T_SIZE]
        t = m[t + T_MATE]
    if m[first + T_DOWN]:
        ns = call_ns(m[link + L_CALL], m[link + L_WRITE_LATENCY], m[link + L_WRITE_RATE], 0, 0, n_bytes)
    else:
        ns = call_ns(
            m[link + L_CALL], m[link + L_READ_LATENCY], m[link + L_READ_RATE], m[link + L_PER_MIB],
            m[link + L_COMPUTE_CALL], n_bytes,
        )  # fmt: skip
    after(m, ns, CALL_ENDS, first)


@internal
def promote(m: Ints, t: int) -> None:
    """A demand waits for it: it counts as demand from now on, behind those already queued."""
    if m[t + T_PRIORITY] != DEMAND:
        queues = m[t + T_STARTED] == NONE
        if queues:
            unqueue(m, t)
        m[t + T_PRIORITY] = DEMAND
        if queues:
            enqueue(m, t)


@internal
def is_busy(m: Ints, link: int) -> bool:
    """Whether a prefetch submitted now would have to wait: as many go before it as channels are free, or more."""
    before_it = n_queued(m, link, DEMAND) + n_queued(m, link, PREFETCH)
    return bool(before_it >= m[link_at(m, link) + L_FREE])


@internal
def n_waiting(m: Ints, link: int) -> int:
    """Prefetches that would wait if the link chose now: those that no free channel is left for."""
    left = max(m[link_at(m, link) + L_FREE] - n_queued(m, link, DEMAND), 0)
    return int(max(n_queued(m, link, PREFETCH) - left, 0))


@internal
def n_queued(m: Ints, link: int, priority: int) -> int:
    """Transfers of a priority that wait for a channel."""
    return int(m[link_at(m, link) + L_QUEUES + 3 * priority + Q_LENGTH])


@compiled
def bytes_queued(m: Ints, link: int, class_: int) -> int:
    """The bytes that wait for a channel, of what was started as ``class_``."""
    n_bytes = 0
    for priority in range(3):
        t = m[link_at(m, link) + L_QUEUES + 3 * priority + Q_FIRST]
        while t != NONE:
            if m[t + T_CLASS] == class_:
                n_bytes += m[t + T_SIZE]
            t = m[t + T_NEXT]
    return n_bytes
