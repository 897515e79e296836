"""Issued prefetches until their fate is known, and the telling of it (rules R12, R19)."""

from simulator.arrays import NONE, Ints
from simulator.compiled import compiled, internal
from simulator.distribution import count
from simulator.machine import (
    HEARS_FATES,
    KEEPS_SETTLED,
    LATE_LAST,
    N_FATES,
    N_SETTLED,
    N_TOLD,
    NOW,
    OPEN,
    OPEN_LAST,
    P_CONFIDENCE,
    P_EVICTED,
    P_FILLED,
    P_INFERENCE,
    P_KEY,
    P_NEXT,
    P_PREV,
    P_PROPOSED,
    P_ROW,
    P_SIZE,
    P_SOURCE,
    P_USED,
    P_USED_ACCESS,
    PREFETCHES,
    SAVED,
    SETTLED,
    SETTLED_CAPACITY,
    SLACK,
    TOLD,
    TOLD_COLUMNS,
    give_back,
)
from simulator.machine import LATE as LATE_LIST
from simulator.policy import Fate

SETTLED_COLUMNS = 13
NOTHING_SAVED = -(2**63)
TIMELY, LATE, EVICTED_UNUSED, CANCELLED, RESIDENT_UNUSED, IN_FLIGHT = (int(fate) for fate in Fate)


@internal
def _append(m: Ints, first: int, last: int, p: int) -> None:
    m[p + P_PREV], m[p + P_NEXT] = m[last], NONE
    if m[last] == NONE:
        m[first] = p
    else:
        m[m[last] + P_NEXT] = p
    m[last] = p


@internal
def _unlink(m: Ints, first: int, last: int, p: int) -> None:
    before, behind = m[p + P_PREV], m[p + P_NEXT]
    if before == NONE:
        m[first] = behind
    else:
        m[before + P_NEXT] = behind
    if behind == NONE:
        m[last] = before
    else:
        m[behind + P_PREV] = before


@internal
def opened(m: Ints, p: int) -> None:
    """A prefetch was issued."""
    m[p + P_FILLED] = m[p + P_USED] = m[p + P_USED_ACCESS] = m[p + P_EVICTED] = NONE
    _append(m, OPEN, OPEN_LAST, p)


@internal
def _tell(m: Ints, p: int, fate: int) -> None:
    """News for the policy, delivered before its next question."""
    if m[HEARS_FATES]:
        row = m[TOLD] + m[N_TOLD] * TOLD_COLUMNS
        m[row], m[row + 1] = m[p + P_KEY], fate
        m[N_TOLD] += 1


@internal
def _settle(m: Ints, p: int, fate: int, saved_ns: int) -> None:
    """All is known: it is counted, and a finished row if one is kept."""
    m[N_FATES + fate] += 1
    if fate == TIMELY:
        count(m, SLACK, m[p + P_USED] - m[p + P_FILLED])
    if saved_ns != NOTHING_SAVED:
        count(m, SAVED, saved_ns)
    if m[KEEPS_SETTLED]:
        _keep(m, p, fate, saved_ns)
    give_back(m, PREFETCHES, p)


@internal
def _keep(m: Ints, p: int, fate: int, saved_ns: int) -> None:
    row = m[SETTLED] + m[N_SETTLED] * SETTLED_COLUMNS
    m[N_SETTLED] += 1
    m[row], m[row + 1], m[row + 2] = m[p + P_ROW], m[p + P_INFERENCE], m[p + P_KEY]
    m[row + 3], m[row + 4], m[row + 5] = m[p + P_SIZE], m[p + P_SOURCE], m[p + P_PROPOSED]
    m[row + 6], m[row + 7], m[row + 8] = m[p + P_FILLED], m[p + P_USED], m[p + P_USED_ACCESS]
    m[row + 9], m[row + 10], m[row + 11] = saved_ns, m[p + P_EVICTED], fate
    m[row + 12] = m[p + P_CONFIDENCE]


@internal
def close(m: Ints, p: int, fate: int) -> None:
    """An open prefetch has met its fate."""
    _unlink(m, OPEN, OPEN_LAST, p)
    _tell(m, p, fate)
    _settle(m, p, fate, NOTHING_SAVED)


@internal
def filled(m: Ints, p: int) -> None:
    """In tier 0 and still unused."""
    m[p + P_FILLED] = m[NOW]


@internal
def used(m: Ints, p: int, access: int) -> None:
    """First use of a prefetched block, on time."""
    m[p + P_USED], m[p + P_USED_ACCESS] = m[NOW], access
    close(m, p, TIMELY)


@internal
def met(m: Ints, p: int, access: int) -> None:
    """A demand found the prefetch in flight: that is its fate, what it saved shows when it lands."""
    m[p + P_USED], m[p + P_USED_ACCESS] = m[NOW], access
    _unlink(m, OPEN, OPEN_LAST, p)
    _append(m, LATE_LIST, LATE_LAST, p)
    _tell(m, p, LATE)


@internal
def landed_late(m: Ints, p: int, way_ns: int) -> None:
    """It has landed: so much earlier than a fetch that the demand had started, and that queued nowhere."""
    _unlink(m, LATE_LIST, LATE_LAST, p)
    m[p + P_FILLED] = m[NOW]
    _settle(m, p, LATE, m[p + P_USED] + way_ns - m[NOW])


@internal
def evicted(m: Ints, p: int) -> None:
    """Left tier 0 before its first use."""
    m[p + P_EVICTED] = m[NOW]
    close(m, p, EVICTED_UNUSED)


@compiled
def close_left(m: Ints) -> bool:
    """Settle those left at the end of the run: the late ones, then the others; False if rows must be read first."""
    while m[LATE_LIST] != NONE or m[OPEN] != NONE:
        if m[N_SETTLED] == m[SETTLED_CAPACITY]:
            return False
        p = m[LATE_LIST]
        if p != NONE:
            _unlink(m, LATE_LIST, LATE_LAST, p)
            _settle(m, p, LATE, NOTHING_SAVED)
        else:
            p = m[OPEN]
            _unlink(m, OPEN, OPEN_LAST, p)
            _settle(m, p, RESIDENT_UNUSED if m[p + P_FILLED] != NONE else IN_FLIGHT, NOTHING_SAVED)
    return True
