"""Where the time of accesses that waited went, link by link: queueing and transfer (rule R18, told apart further).

Sums over all judged accesses, in ns. Their totals are those of the columns ``queue_ns`` and ``transfer_ns``.
"""

from simulator.compiled import internal
from simulator.records.moving import Transfer, nth_link
from simulator.records.run import Run
from simulator.tally import is_judged


@internal
def end_hop(run: Run, t: Transfer) -> None:
    """A transfer's hop is over now."""
    hop = t.path[t.n_hops]
    t.n_hops += 1
    hop.link, hop.queued_ns, hop.started_ns, hop.ended_ns = t.link, t.queued_ns, t.started_ns, run.now


@internal
def attribute(run: Run, t: Transfer, access: int, since: int) -> int:
    """An access waited from ``since`` until the block landed; how much of that the block was in service, in ns.

    Between the end of a hop and the next one, or now, it waited to come into a tier: that is queueing of the link over
    which it came (rule R40). So what of hops and waits lies behind ``since`` is all of the access's wait.
    """
    moved, counts = 0, is_judged(run, access)
    for i in range(t.n_hops):
        hop = t.path[i]
        entered_ns = t.path[i + 1].queued_ns if i + 1 < t.n_hops else run.now
        if entered_ns <= since:
            continue
        link = nth_link(run, run.links, hop.link)
        link.queue_ns += (entered_ns - max(hop.ended_ns, since)) * counts
        if hop.ended_ns <= since:
            continue
        if hop.started_ns > since and counts:
            link.queue_ns += hop.started_ns - max(hop.queued_ns, since)
        in_service = hop.ended_ns - max(hop.started_ns, since)
        link.transfer_ns += in_service * counts
        moved += in_service
    return moved


@internal
def attribute_below(run: Run, t: Transfer, access: int, ns: int) -> None:
    """An access waited for a block on its way down: all of that is queueing."""
    if is_judged(run, access):
        nth_link(run, run.links, t.link).queue_ns += ns
