"""Accesses in tier 0 and outside of it: look up, wait, be served (rules R4, R9, R13, R17, R18)."""

from simulator import attribution, fates, flight, keyset, tally
from simulator.arrays import NONE, Ints
from simulator.compiled import inlined, internal
from simulator.landing import IS_BELOW, IS_THERE, allocate, written
from simulator.links import DEMAND, PREFETCH
from simulator.machine import (
    ACCESSES,
    ASKS_PYTHON,
    CLOSED,
    COMPUTES,
    FIRST_WRITE,
    FOUND_PREFETCH,
    KNOWN,
    N_OUTSTANDING,
    N_POLLUTED_TOLD,
    N_POLLUTION,
    NOW,
    POLLUTED,
    PPM,
    READ_RATE,
    SERVICE_LATENCY,
    SLOW_PPM,
    T_DOWN,
    T_LAST_WAITER,
    T_LATE,
    T_N_WAITERS,
    T_OBSOLETE,
    T_PREFETCH,
    T_PRIORITY,
    T_SIZE,
    T_SOURCE,
    T_WAITER,
    TRANSFERS,
    WRITE_RATE,
    X_INDEX,
    X_INFERENCE,
    X_ISSUED,
    X_JOINED,
    X_KEY,
    X_NEXT,
    X_OP,
    X_OUTCOME,
    X_REQUEST,
    X_SHADOW,
    X_SIZE,
    X_STREAM,
    give_back,
    take,
)
from simulator.movement import WRITTEN, demanded, fetch, way_ns
from simulator.policy import Outcome
from simulator.records.arena import Arena, block_at, entry_at
from simulator.residency import blocks, eviction, moves
from simulator.streams import complete
from simulator.trace import WRITE

# Plain integers: Numba takes many times as long to recognise the member of an enumeration.
HIT, HIT_PREFETCHED, LATE, MERGED, MISS = (int(outcome) for outcome in Outcome)
_NS_PER_S = 1_000_000_000


@internal
def service_ns(m: Ints, size: int, op: int) -> int:
    """Service from tier 0: latency and bytes over bandwidth, slower while an inference shares the GPU."""
    bandwidth = m[WRITE_RATE] if op == WRITE else m[READ_RATE]
    ns = m[SERVICE_LATENCY] - (-(size * _NS_PER_S) // bandwidth)
    if m[SLOW_PPM] != PPM:
        ns = -(-(ns * m[SLOW_PPM]) // PPM)
    return int(ns)


@internal
def peek(a: Arena, key: int) -> int:
    """What a look-up would find, without using the block."""
    slot = blocks.find(a, key)
    if slot == NONE or not block_at(a, slot).where & 1:
        return MISS
    return HIT if entry_at(a, 0, slot).prefetch == NONE else HIT_PREFETCHED


@internal
def touch(a: Arena, m: Ints, key: int, op: int) -> int:
    """Use a block if tier 0 holds it: HIT, HIT_PREFETCHED or MISS; the prefetch and a first write are left in ``m``."""
    slot = blocks.find(a, key)
    m[FOUND_PREFETCH] = NONE
    m[FIRST_WRITE] = 0
    if slot == NONE or not block_at(a, slot).where & 1:
        return MISS
    outcome, entry = HIT, entry_at(a, 0, slot)
    if entry.prefetch != NONE:
        outcome = HIT_PREFETCHED
        m[FOUND_PREFETCH] = entry.prefetch
        entry.prefetch = NONE
    if op == WRITE and entry.dirty != WRITTEN:
        entry.dirty = WRITTEN
        m[FIRST_WRITE] = 1
    eviction.on_hit(a, 0, slot)
    return outcome


@internal
def after_touch(a: Arena, m: Ints, key: int, access: int) -> None:
    """What a use of a block means elsewhere."""
    if m[FOUND_PREFETCH] != NONE:
        fates.used(m, m[FOUND_PREFETCH], access)
    if m[FIRST_WRITE]:
        written(a, m, key)


@internal
def _serve(m: Ints, x: int, transfer_ns: int) -> None:
    """The block is in tier 0: the access is served and its row closed."""
    now, issued = m[NOW], m[x + X_ISSUED]
    service = service_ns(m, m[x + X_SIZE], m[x + X_OP])
    tally.close(
        m, m[x + X_INDEX], m[x + X_STREAM], m[x + X_REQUEST], m[x + X_KEY], m[x + X_OP], m[x + X_OUTCOME], issued,
        now - issued + service, service, transfer_ns, m[x + X_INFERENCE], m[x + X_SHADOW],
    )  # fmt: skip
    m[N_OUTSTANDING] -= 1
    if m[CLOSED]:
        complete(m, m[x + X_STREAM], now + service)
    give_back(m, ACCESSES, x)


@internal
def _wait_for(m: Ints, t: int, x: int) -> None:
    m[x + X_NEXT] = NONE
    if m[t + T_WAITER] == NONE:
        m[t + T_WAITER] = x
    else:
        m[m[t + T_LAST_WAITER] + X_NEXT] = x
    m[t + T_LAST_WAITER] = x
    m[t + T_N_WAITERS] += 1


@internal
def not_resident(a: Arena, m: Ints, x: int) -> int:
    """Tier 0 does not hold the block now: join its transfer, allocate, or fetch it. The access's outcome."""
    key = m[x + X_KEY]
    m[x + X_JOINED] = m[NOW]
    moving = flight.find(m, key)
    if moving != NONE:
        if not m[moving + T_DOWN]:
            m[x + X_OUTCOME] = MERGED
            if m[moving + T_PRIORITY] == PREFETCH:
                m[x + X_OUTCOME] = LATE
                fates.met(m, m[moving + T_PREFETCH], m[x + X_INDEX])
                m[moving + T_LATE], m[moving + T_PREFETCH] = m[moving + T_PREFETCH], NONE
        # A write-back is waited for like any transfer; the block is looked up again when it has landed.
        demanded(m, moving)
        _wait_for(m, moving, x)
        return int(m[x + X_OUTCOME])
    m[x + X_OUTCOME] = MISS
    if m[COMPUTES]:
        keyset.add(m, KNOWN, key)
    if m[POLLUTED + keyset.S_KEYS] != 0 and keyset.discard(m, POLLUTED, key):
        m[N_POLLUTION] += 1
        m[N_POLLUTED_TOLD] += m[ASKS_PYTHON]
    if m[x + X_OP] == WRITE:
        allocate(a, m, key, m[x + X_SIZE])
        _serve(m, x, 0)
        return MISS
    where = moves.locate(a, key)
    size = moves.size_of(a, key) if where != 0 else m[x + X_SIZE]
    _wait_for(m, fetch(a, m, key, size, DEMAND, where, NONE), x)
    return MISS


@internal
def look_up(a: Arena, m: Ints, x: int) -> None:
    """Look the block up now: the access comes from a synchronous question, or from waiting for a write-back."""
    outcome = touch(a, m, m[x + X_KEY], m[x + X_OP])
    if outcome == MISS:
        not_resident(a, m, x)
        return
    m[x + X_OUTCOME] = outcome
    after_touch(a, m, m[x + X_KEY], m[x + X_INDEX])
    _serve(m, x, 0)


@inlined
def _landed(a: Arena, m: Ints, t: int) -> None:
    """A block is in tier 0: serve who waits for it, in the order they came."""
    if m[t + T_PREFETCH] != NONE:
        fates.filled(m, m[t + T_PREFETCH])
    elif m[t + T_LATE] != NONE:
        fates.landed_late(m, m[t + T_LATE], way_ns(m, m[t + T_SOURCE], m[t + T_SIZE]))
    x = m[t + T_WAITER]
    while x != NONE:
        behind, key, op = m[x + X_NEXT], m[x + X_KEY], m[x + X_OP]
        # To come in on behalf of a miss is no use on top of it; every other waiter's is.
        if m[x + X_OUTCOME] != MISS or op == WRITE:
            is_there = touch(a, m, key, op) != MISS
            if m[FIRST_WRITE]:
                written(a, m, key)
            elif op == WRITE and not is_there:
                # It was not admitted: the write allocates as one that finds nothing does.
                allocate(a, m, key, m[x + X_SIZE])
        _serve(m, x, attribution.waited(m, t, m[x + X_JOINED]))
        x = behind


@internal
def _free_again(a: Arena, m: Ints, t: int) -> None:
    """A write-back has landed below: those who waited look again."""
    x = m[t + T_WAITER]
    while x != NONE:
        behind = m[x + X_NEXT]
        attribution.waited_below(m, t, m[NOW] - m[x + X_JOINED])
        look_up(a, m, x)
        x = behind


@inlined
def hop_over(a: Arena, m: Ints, t: int, arrived: int) -> None:
    """What the end of a hop, as ``landing.arrived`` found it, means to accesses."""
    if arrived == IS_THERE:
        _landed(a, m, t)
        give_back(m, TRANSFERS, t)
    elif arrived == IS_BELOW:
        if not m[t + T_OBSOLETE]:
            _free_again(a, m, t)
        give_back(m, TRANSFERS, t)


@internal
def new_access(
    m: Ints, index: int, stream: int, request: int, key: int, op: int, size: int, outcome: int, shadow: int
) -> int:
    """An access that waits."""
    x = take(m, ACCESSES)
    m[x + X_INDEX], m[x + X_STREAM], m[x + X_REQUEST], m[x + X_KEY] = index, stream, request, key
    m[x + X_OP], m[x + X_SIZE], m[x + X_OUTCOME], m[x + X_SHADOW] = op, size, outcome, shadow
    m[x + X_ISSUED], m[x + X_INFERENCE], m[x + X_JOINED] = m[NOW], 0, 0
    m[N_OUTSTANDING] += 1
    return x
