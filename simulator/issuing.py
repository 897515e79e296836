"""From answers to prefetches: reject, budget, issue (R6, R10, R19)."""

from simulator import fates, flight, keyset
from simulator.arrays import NONE
from simulator.compiled import inlined, internal
from simulator.landing import use_source
from simulator.links import PREFETCH, n_waiting
from simulator.movement import fetch, would_queue
from simulator.policy import Rejection
from simulator.questions import STALE
from simulator.records.arena import Arena, tier_at
from simulator.records.moving import CHUNK_KEYS, Question, chunk_at, give_back, nth_link, prefetch_at, take
from simulator.records.run import Run
from simulator.residency import moves
from simulator.tally import is_judged

RESIDENT, IN_FLIGHT, UNKNOWN, BUDGET, DROPPED_STALE, TOO_LARGE = (int(reason) for reason in Rejection)


@inlined
def _reason_against(run: Run, arena: Arena, key: int, where: int, size: int) -> int:
    settings = run.settings
    if where & 1:
        return RESIDENT
    if flight.find(run, key) != NONE:
        return IN_FLIGHT
    if settings.computes and not keyset.has(run, run.known, key):
        return UNKNOWN
    if size > tier_at(arena, 0).capacity:
        return TOO_LARGE
    if run.n_prefetches >= settings.max_in_flight or run.prefetch_bytes + size > settings.max_bytes:
        return BUDGET
    queued = 0
    for i in range(run.n_links):
        queued += n_waiting(nth_link(run, run.links, i))
    if queued >= settings.max_queued and would_queue(run, where):
        return BUDGET
    return NONE


@inlined
def _propose(run: Run, arena: Arena, q: Question, key: int, confidence: int) -> None:
    books, counts = run.books, is_judged(run, q.access)
    books.n_proposed += counts
    if q.status == STALE:
        books.n_rejected[DROPPED_STALE] += counts
        return
    where = moves.locate(arena, key)
    size = moves.size_of(arena, key) if where != 0 else q.size
    reason = _reason_against(run, arena, key, where, size)
    if reason != NONE:
        books.n_rejected[reason] += counts
        return
    p = prefetch_at(run, take(run, run.pools.prefetches))
    p.number, p.inference, p.access, p.key, p.size = run.n_issued, q.number, q.access, key, size
    p.proposed_ns, p.confidence = run.now, confidence
    run.n_issued += 1
    books.n_issued += counts
    q.n_issued += 1
    fates.begin(run, p)
    use_source(run, arena, key, where)
    p.source = fetch(run, key, size, PREFETCH, where, p.at).source


@internal
def issue(run: Run, arena: Arena, q: Question) -> None:
    """Issue what an answer wants, most wanted first, or count why not."""
    place = q.wanted
    for i in range(q.n_keys):
        chunk = chunk_at(run, place)
        at = i % CHUNK_KEYS
        _propose(run, arena, q, chunk.keys[at], chunk.confidences[at])
        if at == CHUNK_KEYS - 1 or i == q.n_keys - 1:
            place = chunk.next
            give_back(run, run.pools.chunks, chunk)
    q.wanted = NONE
