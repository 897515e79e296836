"""Where the time of accesses that waited went, link by link: queueing and transfer (rule R18, told apart further).

Sums over all accesses, in ns. Their totals are those of the columns ``queue_ns`` and ``transfer_ns``.
"""

from simulator.arrays import Ints
from simulator.compiled import internal
from simulator.links import L_QUEUE_NS, L_TRANSFER_NS, link_at
from simulator.machine import NOW, T_LINK, T_N_HOPS, T_PATH, T_QUEUED, T_STARTED

H_LINK, H_QUEUED, H_STARTED, H_ENDED = range(4)
HOP_FIELDS = 4


@internal
def hop_ended(m: Ints, t: int) -> None:
    """A transfer's hop is over now."""
    hop = t + T_PATH + m[t + T_N_HOPS] * HOP_FIELDS
    m[t + T_N_HOPS] += 1
    m[hop + H_LINK], m[hop + H_QUEUED] = m[t + T_LINK], m[t + T_QUEUED]
    m[hop + H_STARTED], m[hop + H_ENDED] = m[t + T_STARTED], m[NOW]


@internal
def waited(m: Ints, t: int, since: int) -> int:
    """An access waited from ``since`` until the block landed; how much of that the block was in service, in ns.

    The hops of a transfer follow each other without a gap, so what of them lies behind ``since`` is all of the wait.
    """
    moved = 0
    for i in range(m[t + T_N_HOPS]):
        hop = t + T_PATH + i * HOP_FIELDS
        started, ended = m[hop + H_STARTED], m[hop + H_ENDED]
        if ended <= since:
            continue
        link = link_at(m, m[hop + H_LINK])
        if started > since:
            m[link + L_QUEUE_NS] += started - max(m[hop + H_QUEUED], since)
        in_service = ended - max(started, since)
        m[link + L_TRANSFER_NS] += in_service
        moved += in_service
    return moved


@internal
def waited_below(m: Ints, t: int, ns: int) -> None:
    """An access waited for a block on its way down: all of that is queueing."""
    m[link_at(m, m[t + T_LINK]) + L_QUEUE_NS] += ns
