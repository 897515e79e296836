"""The ends of hops: landings, evictions, write-backs, and what a link takes up next (R5, R6, R9)."""

from simulator import fates, flight, keyset
from simulator.arrays import NONE, At, Ints
from simulator.compiled import inlined, internal, soon
from simulator.fates import CANCELLED
from simulator.links import (
    DEMAND,
    L_ASKED,
    L_FREE,
    L_PER_CALL,
    L_QUEUES,
    PREFETCH,
    Q_FIRST,
    WRITE_BACK,
    link_at,
    start,
    unqueue,
)
from simulator.machine import (
    DEMOTES,
    EXCLUSIVE,
    IN_PLACE,
    MAX_WAIT,
    N_LINKS,
    NOW,
    ORIGIN,
    POLLUTED,
    T_CLASS,
    T_DIRTY,
    T_DOWN,
    T_KEY,
    T_LEVEL,
    T_LINK,
    T_MATE,
    T_OBSOLETE,
    T_PREFETCH,
    T_PRIORITY,
    T_QUEUED,
    T_SIZE,
    T_SOURCE,
    TO_CHOOSE,
    TRANSFERS,
    TRIGGER,
    VICTIM_ROOM,
    VICTIMS,
    give_back,
)
from simulator.movement import CLEAN, COMPUTED, WRITTEN, hop, new, release
from simulator.policy import Trigger
from simulator.records.arena import Arena, Victim, block_at, entry_at, victim_at
from simulator.residency import eviction, moves

_NEVER = int(Trigger.NEVER)
_VICTIM = Victim.words
# What the end of a hop means.
GOES_ON, IS_THERE, IS_BELOW = range(3)


@internal
def _highest_bit(where: int) -> int:
    level = 0
    while where >> (level + 1) != 0:
        level += 1
    return level


@internal
def allocate(a: Arena, m: Ints, key: int, size: int) -> None:
    """A write to a block that is neither in tier 0 nor in flight: it needs no fetch."""
    # First: what is not admitted is written down at once, and that write-back must not count as out of date.
    written(a, m, key)
    _insert(a, m, 0, key, size, WRITTEN)


@internal
def written(a: Arena, m: Ints, key: int) -> None:
    """The block in tier 0 was written: copies below, and any on their way down, are out of date."""
    where = moves.locate(a, key)
    for level in range(1, m[ORIGIN]):
        if (where >> level) & 1:
            moves.remove(a, level, key)
    old = flight.find(m, key)
    if old != NONE:
        m[old + T_OBSOLETE] = 1
        flight.leave(m, old)


@inlined
def _insert_here(
    a: Arena, m: Ints, level: int, key: int, size: int, dirty: int, prefetch: int, by_prefetch: bool
) -> None:
    report_all = by_prefetch or m[DEMOTES] != 0
    while True:
        n = moves.insert(a, level, key, size, dirty, prefetch, m, m[VICTIMS], VICTIM_ROOM, report_all)
        for i in range(n if n >= 0 else VICTIM_ROOM):
            # A block that is not admitted is its own victim, and no prefetch's.
            v = m[VICTIMS] + i * _VICTIM
            _evicted(a, m, level, v, by_prefetch and victim_at(m, v).key != key)
        if n != moves.FULL:
            break
    _out_soon(a, m, level)


@internal
def _insert(a: Arena, m: Ints, level: int, key: int, size: int, dirty: int) -> None:
    _insert_here(a, m, level, key, size, dirty, NONE, False)


@internal
def _out_soon(a: Arena, m: Ints, level: int) -> None:
    """Have fetched what will be needed when the next block leaves: that takes longer than the rest of it."""
    slot = eviction.out_soon(a, level)
    if slot != NONE and m[TRIGGER] != _NEVER:
        keyset.find_soon(m, POLLUTED, block_at(a, slot).key)
        prefetch = entry_at(a, level, slot).prefetch
        if prefetch != NONE:
            soon(m, prefetch)


@inlined
def _evicted(a: Arena, m: Ints, level: int, victim: At[Victim], by_prefetch: bool) -> None:
    gone = victim_at(m, victim)
    key, dirty, where = gone.key, gone.dirty, gone.where
    if level == 0:
        if gone.prefetch != NONE:
            fates.evicted(m, gone.prefetch)
        if by_prefetch:
            keyset.add(m, POLLUTED, key)
    moving = flight.find(m, key)
    above = where & ((1 << level) - 1)
    if moving != NONE and above != 0:
        # It is on its way up and has left a copy between: the lowest copy answers for what is nowhere else.
        moves.mark(a, _highest_bit(above), key, dirty)
    elif moving != NONE:
        # It is on its way up from here: the transfer takes over the only copy.
        m[moving + T_DIRTY] = max(m[moving + T_DIRTY], dirty)
    elif where >> (level + 1) == 0:
        _write_down(m, level, key, gone.size, dirty)


@internal
def _write_down(m: Ints, level: int, key: int, size: int, dirty: int) -> None:
    """Save what is nowhere else one level down, at background priority; drop what need not be saved."""
    into_origin = level + 1 == m[ORIGIN]
    if dirty == WRITTEN or (not into_origin and (dirty == COMPUTED or m[DEMOTES] != 0)):
        t = new(m, key, size, WRITE_BACK, level)
        m[t + T_DOWN], m[t + T_DIRTY] = 1, dirty
        hop(m, t)


@inlined
def arrived(a: Arena, m: Ints, t: int) -> int:
    """The end of a hop. Where the block is there, and who waits for it can be served, the caller goes on."""
    if m[t + T_DOWN]:
        return _arrived_below(a, m, t)
    from_compute = m[IN_PLACE] != 0 and m[t + T_LEVEL] == m[ORIGIN]
    m[t + T_LEVEL] = 0 if from_compute else m[t + T_LEVEL] - 1
    key, size = m[t + T_KEY], m[t + T_SIZE]
    if m[t + T_LEVEL] > 0:
        return _passed(a, m, t)
    flight.leave(m, t)
    if from_compute:
        m[t + T_DIRTY] = COMPUTED
    if m[EXCLUSIVE] and m[t + T_SOURCE] < m[ORIGIN]:
        m[t + T_DIRTY] = max(m[t + T_DIRTY], moves.remove(a, m[t + T_SOURCE], key))
    if m[t + T_PRIORITY] == PREFETCH:
        release(m, t)
    if m[POLLUTED + keyset.S_KEYS] != 0:
        keyset.discard(m, POLLUTED, key)
    # The way of most blocks, for which it is compiled apart.
    _insert_here(a, m, 0, key, size, m[t + T_DIRTY], m[t + T_PREFETCH], m[t + T_CLASS] == PREFETCH)
    return IS_THERE


@internal
def _passed(a: Arena, m: Ints, t: int) -> int:
    if not m[EXCLUSIVE]:
        # What the transfer has taken over is this copy's from now on, unless the tier does not keep it.
        dirty = m[t + T_DIRTY]
        m[t + T_DIRTY] = CLEAN
        _insert(a, m, m[t + T_LEVEL], m[t + T_KEY], m[t + T_SIZE], dirty)
    hop(m, t)
    return GOES_ON


@internal
def _arrived_below(a: Arena, m: Ints, t: int) -> int:
    m[t + T_LEVEL] += 1
    if not m[t + T_OBSOLETE]:
        flight.leave(m, t)
        if m[t + T_LEVEL] < m[ORIGIN]:
            _insert(a, m, m[t + T_LEVEL], m[t + T_KEY], m[t + T_SIZE], m[t + T_DIRTY])
    return IS_BELOW


@internal
def _is_overdue(m: Ints, t: int) -> bool:
    return bool(m[MAX_WAIT] >= 0 and m[NOW] - m[t + T_QUEUED] > m[MAX_WAIT])


@internal
def _cancel(m: Ints, t: int) -> None:
    """A prefetch, taken out of its queue, has waited for too long."""
    flight.leave(m, t)
    release(m, t)
    m[link_at(m, m[t + T_LINK]) + L_ASKED + m[t + T_CLASS]] -= m[t + T_SIZE]
    fates.close(m, m[t + T_PREFETCH], CANCELLED)
    if m[t + T_DIRTY] != CLEAN:
        _write_down(m, m[t + T_SOURCE], m[t + T_KEY], m[t + T_SIZE], m[t + T_DIRTY])
    give_back(m, TRANSFERS, t)


@internal
def _next_call(m: Ints, link: int) -> int:
    """What a channel takes: the oldest of the most urgent, and as many of its kind as may share a call; or NONE."""
    first, last, n = NONE, NONE, 0
    for priority in range(DEMAND, WRITE_BACK + 1):
        while n < m[link + L_PER_CALL]:
            t = m[link + L_QUEUES + 3 * priority + Q_FIRST]
            if t == NONE or (n > 0 and m[t + T_DOWN] != m[first + T_DOWN]):
                break
            unqueue(m, t)
            if priority == PREFETCH and _is_overdue(m, t):
                # What it gives back is written down over a link further below, which chooses after this one.
                _cancel(m, t)
                continue
            m[t + T_MATE] = NONE
            if n == 0:
                first = t
            else:
                m[last + T_MATE] = t
            last = t
            n += 1
        if n > 0:
            break
    return first


@internal
def choose(m: Ints) -> None:
    """All that happens at this instant is applied: free channels choose what they start (rules R2, R8, R11)."""
    for i in range(m[N_LINKS]):
        link = link_at(m, i)
        while m[link + L_FREE] > 0:
            first = _next_call(m, link)
            if first == NONE:
                break
            m[link + L_FREE] -= 1
            start(m, first)
    m[TO_CHOOSE] = 0
