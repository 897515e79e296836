"""Whether there is room for the next step: nothing grows within one.

To look everywhere before every step takes time. So it is found out now and then for how many small steps there is room
everywhere; each step is so many of these, and only where they do not suffice is looked after what it needs itself.
"""

from typing import Any

from simulator import events, keyset
from simulator.arrays import NONE, At
from simulator.compiled import inlined, internal
from simulator.links import PREFETCH
from simulator.records.arena import Arena, tier_at
from simulator.records.moving import CHUNK_KEYS, nth_link, question_at, transfer_at
from simulator.records.run import Buffer, Run

# So many steps look for themselves before it is counted again, once there was no room for many.
_NOT_YET = 64


@internal
def _left(rows: Buffer) -> int:
    return rows.capacity - rows.n


@internal
def _is_room(run: Run, arena: Arena, n_new: int, inserts: int, evicted: int, transfers: int, prefetches: int,
             rows: int, records: int, chunks: int) -> bool:  # fmt: skip
    settled = evicted + inserts + prefetches
    pools, buffers, books = run.pools, run.rows, run.books
    return (
        arena.n_free >= inserts
        and pools.transfers.n_free >= transfers + evicted
        and pools.prefetches.n_free >= prefetches
        and pools.chunks.n_free >= chunks
        and pools.accesses.n_free >= n_new
        and pools.questions.n_free >= n_new
        and _left(buffers.accesses) >= rows
        and _left(buffers.prefetches) >= settled
        and _left(buffers.told) >= settled
        and _left(buffers.inferences) >= records
        and _left(buffers.shown) >= n_new
        and keyset.room(run.polluted) >= evicted
        and keyset.room(run.known) >= inserts
        and books.latency.n_left >= rows
        and books.slack.n_left >= settled
        and books.saved.n_left >= settled
        and books.charged.n_left >= records
        and books.host.n_left >= records
    )


@internal
def _has(run: Run, arena: Arena, n_new: int, inserts: int, transfers: int, prefetches: int, rows: int, records: int,
         chunks: int) -> bool:  # fmt: skip
    """Whether a step may take so much; if not, what it needs is left in the run."""
    evicted = inserts * run.most_evicted
    if _is_room(run, arena, n_new, inserts, evicted, transfers, prefetches, rows, records, chunks):
        return True
    # No more can be evicted than is there or comes in.
    there = inserts
    for level in range(run.settings.origin):
        there += tier_at(arena, level).n_blocks
    evicted = min(evicted, there)
    if _is_room(run, arena, n_new, inserts, evicted, transfers, prefetches, rows, records, chunks):
        return True
    settled = evicted + inserts + prefetches
    needs = run.needs
    needs.inserts, needs.transfers, needs.prefetches = inserts, transfers + evicted, prefetches
    needs.chunks, needs.accesses, needs.questions = chunks, n_new, n_new
    needs.access_rows, needs.prefetch_rows, needs.told_rows, needs.inference_rows = rows, settled, settled, records
    needs.shown_rows, needs.polluted, needs.known = n_new, evicted, inserts
    return False


@internal
def _small_steps(run: Run, arena: Arena, shadow: Arena) -> int:
    """For how many accesses there is room, each of which may evict, ask and be told of."""
    pools, rows, books = run.pools, run.rows, run.books
    evicted = run.most_evicted
    settled = evicted + 2
    n = min(
        arena.n_free, shadow.n_free, pools.prefetches.n_free, pools.chunks.n_free, pools.accesses.n_free,
        pools.questions.n_free, _left(rows.accesses), _left(rows.shown), keyset.room(run.known), books.latency.n_left,
    )  # fmt: skip
    for of_two in (_left(rows.inferences), books.charged.n_left, books.host.n_left):
        n = min(n, of_two // 2)
    of_settled = min(_left(rows.prefetches), _left(rows.told), books.slack.n_left, books.saved.n_left)
    n = min(n, of_settled // settled, pools.transfers.n_free // (evicted + 1))
    return min(n, keyset.room(run.polluted) // evicted)


@internal
def spares(run: Run, arena: Arena, shadow: Arena, n: int) -> bool:
    """Whether there is room for so many small steps; if not, or it is not known, the step is to look for itself."""
    if run.spare < 0:
        # There was little room a while ago.
        run.spare += 1
        return False
    if run.spare < n:
        run.spare = _small_steps(run, arena, shadow)
        if run.spare < n:
            run.spare = -_NOT_YET
            return False
    run.spare -= n
    return True


@inlined
def for_access(run: Run, arena: Arena, shadow: Arena, access: int) -> bool:
    """For the next access: it may fetch, or allocate and evict, ask, propose, and be what a question was about."""
    windows = run.windows
    if shadow.n_free == 0 or access - run.judged_from >= windows.n_rows * windows.length:
        run.needs.inserts = 1
        return False
    wanted = run.settings.wanted_at_once
    n = 1 + wanted
    return spares(run, arena, shadow, n) or _has(run, arena, 1, n, n, wanted, 1, 2, 0)


@inlined
def for_arrival(run: Run, arena: Arena, n_shown: int) -> bool:
    """For a question about a request that arrives, with so many accesses that are shown."""
    if _left(run.rows.shown) < n_shown:
        run.needs.shown_rows = n_shown
        return False
    return _has(run, arena, 1, 0, 0, 0, 0, 2, 0)


@inlined
def for_request(run: Run) -> bool:
    """For a request that is over."""
    run.needs.request_rows = 1
    return _left(run.rows.requests) > 0 and run.books.ttft.n_left > 0


@inlined
def for_questions(run: Run, arena: Arena, shadow: Arena, n: int) -> bool:
    """For questions that a table answers, and that may be answered at once."""
    most_wanted = run.settings.most_wanted
    wanted = n * most_wanted
    return spares(run, arena, shadow, n + wanted) or _has(
        run, arena, 0, n + wanted, n + wanted, wanted, n, n, n * ((most_wanted + CHUNK_KEYS - 1) // CHUNK_KEYS)
    )


@inlined
def for_event(run: Run, arena: Arena, shadow: Arena, kind: int, what: At[Any]) -> bool:
    """For what happens when a call or an inference ends, or a tier lets in who is next."""
    n, wanted = 0, 0
    place = what
    if kind == events.MAY_COME_IN:
        place = nth_link(run, run.links, what).backlog.transfers.first
        n = 1 + (transfer_at(run, place).n_waiters if place != NONE else 0)
        return spares(run, arena, shadow, n + 1) or _has(run, arena, 0, n, n + 1, 0, n, 0, 0)
    if kind == events.CALL_ENDS:
        while place != NONE:
            t = transfer_at(run, place)
            n += 1 + t.n_waiters
            place = t.mate
        return spares(run, arena, shadow, n + 1) or _has(run, arena, 0, n, n + 1, 0, n, 0, 0)
    while place != NONE:
        q = question_at(run, place)
        n += 1
        wanted += q.n_keys
        place = q.queue.next
    # What is wanted may be read from a tier below, a use that evicts there.
    return spares(run, arena, shadow, n + wanted) or _has(run, arena, 0, n + wanted, n + wanted, wanted, n, n, 0)


@inlined
def for_choice(run: Run, arena: Arena, shadow: Arena) -> bool:
    """For what links choose: prefetches that have queued for too long are given up, and may be written down."""
    overdue = 0
    if run.settings.max_wait_ns >= 0:
        for i in range(run.n_links):
            overdue += nth_link(run, run.links, i).queues[PREFETCH].n
    if run.kept.transfers:
        begun = 0
        for i in range(run.n_links):
            link = nth_link(run, run.links, i)
            begun += min(link.n_free * link.blocks_per_call, link.n_queued + overdue)
        if _left(run.rows.transfers) < begun:
            run.needs.transfer_rows = begun
            return False
    return overdue == 0 or spares(run, arena, shadow, overdue) or _has(run, arena, 0, 0, overdue, overdue, 0, 0, 0)
