"""From answers to prefetches: reject, budget, issue (R6, R10, R19)."""

from simulator import fates, flight, keyset
from simulator.arrays import NONE, Ints
from simulator.compiled import inlined, internal
from simulator.links import PREFETCH, n_waiting
from simulator.machine import (
    CHUNK_KEYS,
    CHUNKS,
    COMPUTES,
    K_FIRST,
    K_NEXT,
    KNOWN,
    MAX_BYTES,
    MAX_IN_FLIGHT,
    MAX_QUEUED,
    N_ISSUED,
    N_LINKS,
    N_PREFETCHES,
    N_PROPOSED,
    N_REJECTED,
    NOW,
    P_CONFIDENCE,
    P_INFERENCE,
    P_KEY,
    P_PROPOSED,
    P_ROW,
    P_SIZE,
    P_SOURCE,
    PREFETCH_BYTES,
    PREFETCHES,
    Q_ISSUED,
    Q_N_KEYS,
    Q_ROW,
    Q_SIZE,
    Q_STATUS,
    Q_WANTED,
    T_SOURCE,
    give_back,
    take,
)
from simulator.movement import fetch, would_queue
from simulator.questions import STALE
from simulator.records.arena import Arena
from simulator.residency import moves

# Why not, in the order of ``accounting.REJECTIONS``.
RESIDENT, IN_FLIGHT, UNKNOWN, BUDGET, DROPPED_STALE = range(5)


@inlined
def _reason_against(m: Ints, key: int, where: int, size: int) -> int:
    if where & 1:
        return RESIDENT
    if flight.find(m, key) != NONE:
        return IN_FLIGHT
    if m[COMPUTES] and not keyset.has(m, KNOWN, key):
        return UNKNOWN
    if m[N_PREFETCHES] >= m[MAX_IN_FLIGHT] or m[PREFETCH_BYTES] + size > m[MAX_BYTES]:
        return BUDGET
    queued = 0
    for link in range(m[N_LINKS]):
        queued += n_waiting(m, link)
    if queued >= m[MAX_QUEUED] and would_queue(m, where):
        return BUDGET
    return NONE


@inlined
def _propose(a: Arena, m: Ints, q: int, key: int, confidence: int) -> None:
    m[N_PROPOSED] += 1
    if m[q + Q_STATUS] == STALE:
        m[N_REJECTED + DROPPED_STALE] += 1
        return
    where = moves.locate(a, key)
    size = moves.size_of(a, key) if where != 0 else m[q + Q_SIZE]
    reason = _reason_against(m, key, where, size)
    if reason != NONE:
        m[N_REJECTED + reason] += 1
        return
    p = take(m, PREFETCHES)
    m[p + P_ROW], m[p + P_INFERENCE], m[p + P_KEY], m[p + P_SIZE] = m[N_ISSUED], m[q + Q_ROW], key, size
    m[p + P_PROPOSED], m[p + P_CONFIDENCE] = m[NOW], confidence
    m[N_ISSUED] += 1
    m[q + Q_ISSUED] += 1
    fates.opened(m, p)
    m[p + P_SOURCE] = m[fetch(a, m, key, size, PREFETCH, where, p) + T_SOURCE]


@internal
def issue(a: Arena, m: Ints, q: int) -> None:
    """Issue what an answer wants, most wanted first, or count why not."""
    chunk = m[q + Q_WANTED]
    for i in range(m[q + Q_N_KEYS]):
        at = i % CHUNK_KEYS
        entry = chunk + K_FIRST + 2 * at
        _propose(a, m, q, m[entry], m[entry + 1])
        if at == CHUNK_KEYS - 1 or i == m[q + Q_N_KEYS] - 1:
            used, chunk = chunk, m[chunk + K_NEXT]
            give_back(m, CHUNKS, used)
    m[q + Q_WANTED] = NONE
