"""The run itself, compiled: accesses of all streams in time order, and what happens in between, until Python must."""

from functools import cache
from typing import Any

from numba import types

from simulator import attribution, events, keyset, questions, room, serving, streams, tally
from simulator.answers import HEARD, Floats, call_learn, call_want, distinct
from simulator.arrays import NONE, Ints
from simulator.compiled import compiled_for, floats_at, internal, ints_at, soon
from simulator.demand import is_missed
from simulator.feed import W_FOLLOWER, W_KEY, W_NEXT_USE, W_OP, W_REQUEST, W_SIZE, W_STREAM, W_TIME, WINDOW_FIELDS
from simulator.inference import batch_size, begin, can_start, deliver, end
from simulator.landing import arrived, choose
from simulator.links import L_FREE, link_at
from simulator.machine import (
    ASKS_PYTHON,
    AT_END,
    BASE,
    CHARGE,
    CLOSED,
    EVENTS,
    FIRED,
    FIRED_KIND,
    FIRST_WRITE,
    FORESEES,
    FOUND_PREFETCH,
    HAS_SHADOW,
    IS_FRESH,
    MAX_WAIT,
    N_ACCESSES,
    N_LOADED,
    N_OUTSTANDING,
    N_READY,
    N_STREAMS,
    N_TOLD,
    NOW,
    POLLUTED,
    POSITION,
    Q_NEXT,
    Q_RUN_END,
    QUEUE,
    RUN,
    RUN_BASE,
    RUN_COLUMNS,
    RUN_SHOWN,
    S_END,
    S_INSIDE,
    S_NEXT,
    S_OUTSTANDING,
    S_REQUEST,
    SHADOW_FORESEES,
    SPARE,
    SYNC,
    T_LINK,
    T_MATE,
    TO_CHOOSE,
    TOLD,
    TOLD_COLUMNS,
    TRIGGER,
    VICTIMS,
    WINDOW_LENGTH,
)
from simulator.questions import NEVER, ask, asks, remember, seen
from simulator.records.arena import Arena
from simulator.records.record import first
from simulator.residency import belady, blocks
from simulator.serving import MISS, look_up, new_access, not_resident, peek, service_ns, touch

# Why it stopped: the trace goes on elsewhere, something must grow or be emptied, Python has a question to answer, all
# is done; and for ``_advance`` alone, an access was issued that has consequences, an event is due, no stream is ready.
NEED_DATA, ROOM, ASK, DONE, ISSUED, DUE, IDLE = range(7)
_NO_SHADOW = -1
_arena_at = first(Arena)
# So many accesses before its turn the place of a block is looked up, and the block itself.
_FIND_AHEAD, _USE_AHEAD = 8, 4


@internal
def _issue(a: Arena, b: Arena, m: Ints, row: int, window: Ints, at: int, now: int) -> bool:
    """Issue one access; whether it put a question. ``row`` is its stream's in a closed loop, else NONE."""
    m[NOW] = now
    key, size, op, stream = (
        window[at * WINDOW_FIELDS + W_KEY],
        window[at * WINDOW_FIELDS + W_SIZE],
        window[at * WINDOW_FIELDS + W_OP],
        window[at * WINDOW_FIELDS + W_STREAM],
    )
    access, request = m[BASE] + at, window[at * WINDOW_FIELDS + W_REQUEST]
    m[N_ACCESSES] += 1
    if m[FORESEES]:
        belady.passed(a, key, window[at * WINDOW_FIELDS + W_NEXT_USE])
    shadow = _NO_SHADOW
    if m[HAS_SHADOW]:
        next_use, foresees = window[at * WINDOW_FIELDS + W_NEXT_USE], m[SHADOW_FORESEES] != 0
        shadow = int(is_missed(b, key, size, next_use, foresees, m, m[VICTIMS]))
    has_policy = m[TRIGGER] != NEVER
    if has_policy:
        seen(m, stream, key)
        if m[SYNC]:
            outcome = peek(a, key)
            if asks(m, outcome):
                if row != NONE:
                    m[row + S_OUTSTANDING] += 1
                x = new_access(m, access, stream, request, key, op, size, outcome, shadow)
                remember(m, key, stream, outcome)
                is_put = ask(m, access, stream, size, x)
                if not is_put:
                    look_up(a, m, x)
                return is_put
    outcome = touch(a, m, key, op)
    if outcome != MISS:
        service = service_ns(m, size, op)
        tally.close(m, access, stream, request, key, op, outcome, now, service, service, 0, 0, shadow)
        if row != NONE:
            m[row + S_END] = max(m[row + S_END], now + service)
        if m[FOUND_PREFETCH] != NONE or m[FIRST_WRITE]:
            serving.after_touch(a, m, key, access)
    else:
        if row != NONE:
            m[row + S_OUTSTANDING] += 1
            # The usual case, settled here: no other access of the request follows, so the stream waits.
            following = m[row + S_NEXT]
            if following != NONE and window[following * WINDOW_FIELDS + W_REQUEST] != m[row + S_REQUEST]:
                streams.end_request(m, row)
        x = new_access(m, access, stream, request, key, op, size, MISS, shadow)
        outcome = not_resident(a, m, x)
    if has_policy:
        remember(m, key, stream, outcome)
        if asks(m, outcome):
            return ask(m, access, stream, size, NONE)
    return False


@internal
def _look_ahead(a: Arena, b: Arena, m: Ints, window: Ints, at: int, row: int) -> None:
    """Have fetched what accesses soon will read: with many blocks, most of the time is waiting for memory."""
    find, use = at + _FIND_AHEAD, at + _USE_AHEAD
    if row != NONE and m[N_STREAMS] >= _USE_AHEAD:
        # The other streams come in between.
        use = m[row + S_NEXT]
        find = window[use * WINDOW_FIELDS + W_FOLLOWER] if use != NONE else NONE
        if find == NONE:
            return
        following = window[find * WINDOW_FIELDS + W_FOLLOWER]
        if following != NONE:
            soon(window, following * WINDOW_FIELDS)
    else:
        # Beyond the end nothing is fetched that is there, and nothing goes wrong.
        soon(window, (find + _FIND_AHEAD) * WINDOW_FIELDS)
        if find >= m[WINDOW_LENGTH]:
            return
    key = window[find * WINDOW_FIELDS + W_KEY]
    blocks.find_soon(a, key)
    if m[HAS_SHADOW]:
        blocks.find_soon(b, key)
        keyset.find_soon(m, POLLUTED, key)
    key = window[use * WINDOW_FIELDS + W_KEY]
    blocks.use_soon(a, key)
    if m[HAS_SHADOW]:
        blocks.use_soon(b, key)


@internal
def _advance(a: Arena, b: Arena, m: Ints, window: Ints, horizon: int) -> int:
    """Issue accesses whose time is before ``horizon`` and before any event that they make."""
    closed = m[CLOSED] != 0
    while True:
        row = NONE
        if closed:
            if m[N_READY] == 0:
                return IDLE
            row = streams.stream_at(m, streams.next_stream(m))
            at, now = m[row + S_NEXT], streams.next_time(m)
            if at == NONE and not m[AT_END]:
                return NEED_DATA
            if m[row + S_INSIDE] and (at == NONE or window[at * WINDOW_FIELDS + W_REQUEST] != m[row + S_REQUEST]):
                streams.end_request(m, row)
                continue
            if at == NONE:
                streams.pop(m)
                continue
        else:
            at = m[POSITION]
            if at == m[WINDOW_LENGTH]:
                return IDLE if m[AT_END] else NEED_DATA
            now = window[at * WINDOW_FIELDS + W_TIME]
        if now >= horizon:
            return DUE
        if not room.for_access(a, b, m, m[BASE] + at):
            return ROOM
        if closed:
            if not m[row + S_INSIDE]:
                m[row + S_INSIDE] = 1
                m[row + S_REQUEST] = window[at * WINDOW_FIELDS + W_REQUEST]
                m[row + S_END] = now
            m[row + S_NEXT] = window[at * WINDOW_FIELDS + W_FOLLOWER]
        else:
            m[POSITION] += 1
        _look_ahead(a, b, m, window, at, row)
        m[IS_FRESH] = _issue(a, b, m, row, window, at, now)
        # Prefetches that links give up need room, which is not looked for here.
        if m[IS_FRESH] or (m[TO_CHOOSE] and m[MAX_WAIT] != NONE):
            return ISSUED
        if m[TO_CHOOSE]:
            choose(m)
        horizon = min(horizon, events.next_due(m))


@internal
def _happen(a: Arena, m: Ints, kind: int, what: int) -> None:
    """A call or an inference ends, or an answer that took no time is there."""
    if kind == events.CALL_ENDS:
        m[link_at(m, m[what + T_LINK]) + L_FREE] += 1
        m[TO_CHOOSE] = 1
        # Those of one call were on their way together: each has ended its hop before any of them lands.
        t = what
        while t != NONE:
            attribution.hop_ended(m, t)
            t = m[t + T_MATE]
        t = what
        while t != NONE:
            mate = m[t + T_MATE]
            serving.hop_over(a, m, t, arrived(a, m, t))
            t = mate
        return
    if kind == events.INFERENCE_ENDS:
        end(m)
    deliver(a, m, what)


@internal
def _decide(a: Arena, m: Ints, p: Ints, learn: int, want: int, keys: Ints, confidences: Floats, bits: Ints) -> None:
    """A table's answers to the next batch of questions."""
    for i in range(m[N_TOLD]):
        news = m[TOLD] + i * TOLD_COLUMNS
        call_learn(learn, p, m[news], NONE, HEARD - m[news + 1])
    m[N_TOLD] = 0
    q, shown = m[QUEUE], m[RUN_SHOWN]
    for _ in range(batch_size(m)):
        key, stream = 0, 0
        while shown < m[q + Q_RUN_END]:
            row = m[RUN] + (shown - m[RUN_BASE]) * RUN_COLUMNS
            key, stream = m[row], m[row + 1]
            call_learn(learn, p, key, stream, m[row + 2])
            shown += 1
        n = distinct(key, keys, confidences, call_want(want, p, key, stream, keys, confidences))
        for i in range(n):
            blocks.find_soon(a, keys[i])
            keyset.find_soon(m, POLLUTED, keys[i])
        questions.put_answer(m, q, n > 0, keys[0] if n else 0, bits[0] if n else 0, keys, bits, n)
        q = m[q + Q_NEXT]


@internal
def _all_served(m: Ints) -> bool:
    """Whether the accesses that were loaded are served, all of them."""
    return bool(m[N_OUTSTANDING] == 0 and m[N_ACCESSES] == m[N_LOADED])


def _run(
    arena: int, shadow: int, machine: int, window: int, state: int, learn: int, want: int, wanted: int, sure: int
) -> int:
    """Go on until Python is needed, and why.

    All arguments are addresses: the arenas of the tiers and of tier 0 alone, the machine, the window on the trace; a
    policy's state and functions (``answers``), and what it answers into.

    The order of what happens at one instant (rule R2): what an access or a completion brings about at once, a question
    that an access has just put included; then the next completion; when there is none left, servers and then links
    choose what they start; then the next access.
    """
    a, b, m, accesses = _arena_at(arena), _arena_at(shadow), ints_at(machine), ints_at(window)
    m[SPARE] = 0
    p, keys, confidences, bits = ints_at(state), ints_at(wanted), floats_at(sure), ints_at(sure)
    while True:
        if m[FIRED] != NONE:
            if not room.for_event(a, b, m, m[FIRED_KIND], m[FIRED]):
                return ROOM
            what = m[FIRED]
            m[FIRED] = NONE
            _happen(a, m, m[FIRED_KIND], what)
            continue
        is_over, due = _all_served(m), events.next_due(m)
        if can_start(m) and (m[IS_FRESH] or (due > m[NOW] and not is_over)):
            if m[ASKS_PYTHON]:
                return ASK
            if not room.for_questions(a, b, m, batch_size(m)):
                return ROOM
            _decide(a, m, p, learn, want, keys, confidences, bits)
            m[FIRED_KIND], m[FIRED] = events.ANSWER_IS_THERE, begin(m, m[CHARGE], 0, 0)
            continue
        m[IS_FRESH] = 0
        if is_over and not m[AT_END]:
            return NEED_DATA
        if due > m[NOW] or is_over:
            if m[TO_CHOOSE]:
                if not room.for_choice(a, b, m):
                    return ROOM
                choose(m)
                continue
            if is_over:
                # What else is due at this time does not happen any more.
                return DONE
            why = _advance(a, b, m, accesses, due)
            if why == ISSUED or _all_served(m):
                continue
            if why != DUE and why != IDLE:
                return why
        entry = m[EVENTS]
        m[NOW] = m[entry + events.E_DUE]
        m[FIRED_KIND], m[FIRED] = m[entry + events.E_KIND], m[entry + events.E_WHAT]
        events.pop(m)


@cache
def compile_run() -> Any:
    """``_run``, whose machine code is one for all policies."""
    return compiled_for(types.int64(*[types.int64] * 9), _run)
