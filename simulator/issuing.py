"""From answers to prefetches: reject, budget, issue (R6, R10, R19)."""

from simulator import fates, flight, keyset
from simulator.arrays import NONE
from simulator.compiled import inlined, internal
from simulator.landing import use_source
from simulator.links import PREFETCH, n_waiting
from simulator.movement import fetch, would_queue
from simulator.policy import Rejection
from simulator.questions import STALE
from simulator.records.arena import Arena, block_at, tier_at
from simulator.records.moving import CHUNK_KEYS, Question, chunk_at, give_back, nth_link, prefetch_at, take
from simulator.records.run import Run
from simulator.residency import blocks, moves
from simulator.tally import is_judged

RESIDENT, IN_FLIGHT, UNKNOWN, BUDGET, DROPPED_STALE, TOO_LARGE = (int(reason) for reason in Rejection)


@inlined
def _reason_against(run: Run, arena: Arena, key: int, where: int, size: int) -> int:
    settings = run.settings
    if where & 1:
        return RESIDENT
    if flight.find(run, key) != NONE:
        return IN_FLIGHT
    # Nothing is computed ahead for a request that waits (R45).
    if settings.computes and ((where == 0 and settings.running) or not keyset.has(run, run.known, key)):
        return UNKNOWN
    if size > tier_at(arena, 0).capacity:
        return TOO_LARGE
    if run.n_prefetches >= settings.max_in_flight or run.prefetch_bytes + size > settings.max_bytes:
        return BUDGET
    if would_queue(run, where):
        queued = 0
        for i in range(run.n_links):
            queued += n_waiting(nth_link(run, run.links, i))
        if queued >= settings.max_queued:
            return BUDGET
    return NONE


@internal
def propose(
    run: Run, arena: Arena, number: int, access: int, size: int, key: int, confidence: int, expert: int
) -> bool:
    """Issue a block that question ``number`` wants, or count why not; ``size`` is that of an unknown block."""
    books, counts = run.books, is_judged(run, access)
    books.n_proposed += counts
    slot = blocks.find(arena, key)
    where = moves.held_in(arena, slot)
    if where != 0:
        size = block_at(arena, slot).size
    reason = _reason_against(run, arena, key, where, size)
    if reason != NONE:
        books.n_rejected[reason] += counts
        return False
    p = prefetch_at(run, take(run, run.pools.prefetches))
    p.number, p.inference, p.access, p.key, p.size = run.n_issued, number, access, key, size
    p.proposed_ns, p.confidence, p.expert = run.now, confidence, expert
    run.n_issued += 1
    books.n_issued += counts
    fates.begin(run, p)
    use_source(run, arena, key, where)
    p.source = fetch(run, key, size, PREFETCH, where, p.at).source
    return True


@internal
def issue(run: Run, arena: Arena, q: Question) -> None:
    """Issue what an answer wants, most wanted first, or count why not."""
    place, is_stale = q.wanted, q.status == STALE
    if is_stale:
        n_dropped = q.n_keys * is_judged(run, q.access)
        run.books.n_proposed += n_dropped
        run.books.n_rejected[DROPPED_STALE] += n_dropped
    for i in range(q.n_keys):
        chunk = chunk_at(run, place)
        at = i % CHUNK_KEYS
        if not is_stale:
            q.n_issued += propose(
                run, arena, q.number, q.access, q.size, chunk.keys[at], chunk.confidences[at], chunk.experts[at]
            )
        if at == CHUNK_KEYS - 1 or i == q.n_keys - 1:
            place = chunk.next
            give_back(run, run.pools.chunks, chunk)
    q.wanted = NONE
