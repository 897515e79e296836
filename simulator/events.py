"""What is due when: a binary heap in the machine, by time, then first come, first served (rule R2)."""

from simulator.arrays import Ints
from simulator.compiled import compiled, internal
from simulator.machine import EVENT_ID, EVENTS, FOREVER, N_EVENTS, NOW

CALL_ENDS, INFERENCE_ENDS, ANSWER_IS_THERE = range(3)
E_DUE, E_ID, E_KIND, E_WHAT = range(4)
EVENT_FIELDS = 4


@internal
def _is_before(m: Ints, a: int, b: int) -> bool:
    return bool(m[a + E_DUE] < m[b + E_DUE] or (m[a + E_DUE] == m[b + E_DUE] and m[a + E_ID] < m[b + E_ID]))


@internal
def _copy(m: Ints, source: int, target: int) -> None:
    for field in range(EVENT_FIELDS):
        m[target + field] = m[source + field]


@internal
def after(m: Ints, delay_ns: int, kind: int, what: int) -> None:
    """Something happens so much later."""
    first, at = m[EVENTS], m[N_EVENTS]
    m[N_EVENTS] += 1
    due = m[NOW] + delay_ns
    while at > 0:
        parent = (at - 1) // 2
        # Of equal times the older one stays above.
        if m[first + parent * EVENT_FIELDS + E_DUE] <= due:
            break
        _copy(m, first + parent * EVENT_FIELDS, first + at * EVENT_FIELDS)
        at = parent
    entry = first + at * EVENT_FIELDS
    m[entry + E_DUE], m[entry + E_ID], m[entry + E_KIND], m[entry + E_WHAT] = due, m[EVENT_ID], kind, what
    m[EVENT_ID] += 1


@internal
def next_due(m: Ints) -> int:
    """When the next event is due; FOREVER if there is none."""
    return m[m[EVENTS] + E_DUE] if m[N_EVENTS] > 0 else FOREVER


@compiled
def pop(m: Ints) -> None:
    """The first event is taken out; the caller has read it."""
    first = m[EVENTS]
    m[N_EVENTS] -= 1
    n = m[N_EVENTS]
    last = first + n * EVENT_FIELDS
    at = 0
    while True:
        child = 2 * at + 1
        if child >= n:
            break
        entry = first + child * EVENT_FIELDS
        if child + 1 < n and _is_before(m, entry + EVENT_FIELDS, entry):
            child += 1
            entry += EVENT_FIELDS
        if not _is_before(m, entry, last):
            break
        _copy(m, entry, first + at * EVENT_FIELDS)
        at = child
    if at != n:
        _copy(m, last, first + at * EVENT_FIELDS)
