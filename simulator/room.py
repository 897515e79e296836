"""Whether there is room for the next step: nothing grows within one.

To look everywhere before every step takes time. So it is found out now and then for how many small steps there is room
everywhere; each step is so many of these, and only where they do not suffice is looked after what it needs itself.
"""

from simulator import events, keyset
from simulator.arrays import NONE, Ints
from simulator.compiled import inlined, internal
from simulator.distribution import D_LEFT
from simulator.links import PREFETCH, n_queued
from simulator.machine import (
    ACCESSES,
    CHARGED,
    CHUNK_KEYS,
    CHUNKS,
    FIRST_OF_ALL,
    HOST,
    KNOWN,
    LATENCIES,
    MAX_WAIT,
    MOST_EVICTED,
    MOST_WANTED,
    N_CELLS,
    N_LINKS,
    N_RECORDS,
    N_ROWS,
    N_RUN,
    N_SETTLED,
    N_TOLD,
    NEED_ACCESSES,
    NEED_CHUNKS,
    NEED_INSERTS,
    NEED_KNOWN,
    NEED_POLLUTED,
    NEED_PREFETCHES,
    NEED_QUESTIONS,
    NEED_RECORDS,
    NEED_ROWS,
    NEED_RUN,
    NEED_SETTLED,
    NEED_TOLD,
    NEED_TRANSFERS,
    ORIGIN,
    PER_WINDOW,
    POLLUTED,
    PREFETCHES,
    Q_N_KEYS,
    Q_NEXT,
    QUESTIONS,
    RECORDS_CAPACITY,
    ROWS_CAPACITY,
    RUN_CAPACITY,
    SAVED,
    SETTLED_CAPACITY,
    SLACK,
    SPARE,
    T_MATE,
    T_N_WAITERS,
    TOLD_CAPACITY,
    TRANSFERS,
)
from simulator.records.arena import Arena, tier_at

# So many steps look for themselves before it is counted again, once there was no room for many.
_NOT_YET = 64


@internal
def _is_room(a: Arena, m: Ints, n_new: int, inserts: int, evicted: int, transfers: int, prefetches: int, rows: int,
             records: int, chunks: int) -> bool:  # fmt: skip
    settled = evicted + inserts + prefetches
    return (
        a.n_free >= inserts
        and m[TRANSFERS + 1] >= transfers + evicted
        and m[PREFETCHES + 1] >= prefetches
        and m[CHUNKS + 1] >= chunks
        and m[ACCESSES + 1] >= n_new
        and m[QUESTIONS + 1] >= n_new
        and m[ROWS_CAPACITY] - m[N_ROWS] >= rows
        and m[SETTLED_CAPACITY] - m[N_SETTLED] >= settled
        and m[TOLD_CAPACITY] - m[N_TOLD] >= settled
        and m[RECORDS_CAPACITY] - m[N_RECORDS] >= records
        and m[RUN_CAPACITY] - m[N_RUN] >= n_new
        and keyset.room(m, POLLUTED) >= evicted
        and keyset.room(m, KNOWN) >= inserts
        and m[LATENCIES + D_LEFT] >= rows
        and m[SLACK + D_LEFT] >= settled
        and m[SAVED + D_LEFT] >= settled
        and m[CHARGED + D_LEFT] >= records
        and m[HOST + D_LEFT] >= records
    )  # fmt: skip


@internal
def _has(a: Arena, m: Ints, n_new: int, inserts: int, transfers: int, prefetches: int, rows: int, records: int,
         chunks: int) -> bool:  # fmt: skip
    """Whether a step may take so much; if not, what it needs is left in the machine."""
    evicted = inserts * m[MOST_EVICTED]
    if _is_room(a, m, n_new, inserts, evicted, transfers, prefetches, rows, records, chunks):
        return True
    # No more can be evicted than is there or comes in.
    there = inserts
    for level in range(m[ORIGIN]):
        there += tier_at(a, level).n_blocks
    evicted = min(evicted, there)
    if _is_room(a, m, n_new, inserts, evicted, transfers, prefetches, rows, records, chunks):
        return True
    settled = evicted + inserts + prefetches
    m[NEED_INSERTS], m[NEED_TRANSFERS], m[NEED_PREFETCHES] = inserts, transfers + evicted, prefetches
    m[NEED_CHUNKS], m[NEED_ACCESSES], m[NEED_QUESTIONS] = chunks, n_new, n_new
    m[NEED_ROWS], m[NEED_SETTLED], m[NEED_TOLD], m[NEED_RECORDS] = rows, settled, settled, records
    m[NEED_RUN], m[NEED_POLLUTED], m[NEED_KNOWN] = n_new, evicted, inserts
    return False


@internal
def _small_steps(a: Arena, b: Arena, m: Ints) -> int:
    """For how many accesses there is room, each of which may evict, ask and be told of."""
    evicted = m[MOST_EVICTED]
    settled = evicted + 2
    n = min(
        a.n_free, b.n_free, m[PREFETCHES + 1], m[CHUNKS + 1], m[ACCESSES + 1], m[QUESTIONS + 1],
        m[ROWS_CAPACITY] - m[N_ROWS], m[RUN_CAPACITY] - m[N_RUN], keyset.room(m, KNOWN), m[LATENCIES + D_LEFT],
    )  # fmt: skip
    for of_two in (m[RECORDS_CAPACITY] - m[N_RECORDS], m[CHARGED + D_LEFT], m[HOST + D_LEFT]):
        n = min(n, of_two // 2)
    of_settled = min(
        m[SETTLED_CAPACITY] - m[N_SETTLED], m[TOLD_CAPACITY] - m[N_TOLD], m[SLACK + D_LEFT], m[SAVED + D_LEFT]
    )
    n = min(n, of_settled // settled, m[TRANSFERS + 1] // (evicted + 1))
    return int(min(n, keyset.room(m, POLLUTED) // evicted))


@internal
def _spares(a: Arena, b: Arena, m: Ints, n: int) -> bool:
    """Whether there is room for so many small steps; if not, or it is not known, the step is to look for itself."""
    if m[SPARE] < 0:
        # There was little room a while ago.
        m[SPARE] += 1
        return False
    if m[SPARE] < n:
        m[SPARE] = _small_steps(a, b, m)
        if m[SPARE] < n:
            m[SPARE] = -_NOT_YET
            return False
    m[SPARE] -= n
    return True


@inlined
def for_access(a: Arena, b: Arena, m: Ints, access: int) -> bool:
    """For the next access: it may fetch, or allocate and evict, ask, and be what a question was about."""
    if b.n_free == 0 or access - m[FIRST_OF_ALL] >= m[N_CELLS] * m[PER_WINDOW]:
        m[NEED_INSERTS] = 1
        return False
    return _spares(a, b, m, 1) or _has(a, m, 1, 1, 1, 0, 1, 2, 0)


@inlined
def for_questions(a: Arena, b: Arena, m: Ints, n: int) -> bool:
    """For questions that a table answers, and that may be answered at once."""
    wanted = n * m[MOST_WANTED]
    return _spares(a, b, m, n + wanted) or _has(
        a, m, 0, n, n + wanted, wanted, n, n, n * ((m[MOST_WANTED] + CHUNK_KEYS - 1) // CHUNK_KEYS)
    )


@inlined
def for_event(a: Arena, b: Arena, m: Ints, kind: int, what: int) -> bool:
    """For what happens when a call or an inference ends."""
    n, wanted = 0, 0
    if kind == events.CALL_ENDS:
        t = what
        while t != NONE:
            n += 1 + m[t + T_N_WAITERS]
            t = m[t + T_MATE]
        return _spares(a, b, m, n + 1) or _has(a, m, 0, n, n + 1, 0, n, 0, 0)
    q = what
    while q != NONE:
        n += 1
        wanted += m[q + Q_N_KEYS]
        q = m[q + Q_NEXT]
    return _spares(a, b, m, n + wanted) or _has(a, m, 0, n, n + wanted, wanted, n, n, 0)


@inlined
def for_choice(a: Arena, b: Arena, m: Ints) -> bool:
    """For what links choose: prefetches that have queued for too long are given up, and may be written down."""
    overdue = 0
    if m[MAX_WAIT] >= 0:
        for link in range(m[N_LINKS]):
            overdue += n_queued(m, link, PREFETCH)
    return overdue == 0 or _spares(a, b, m, overdue) or _has(a, m, 0, 0, overdue, overdue, 0, 0, 0)
