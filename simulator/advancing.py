"""Accesses are issued in the order of their times, up to what happens next (rules R2, R30 to R32)."""

from simulator import at_once, events, keyset, prefixes, room, serving, streams, tally
from simulator.arrays import NONE, Ints
from simulator.compiled import inlined
from simulator.demand import is_missed
from simulator.landing import choose
from simulator.questions import NEVER, ON_ARRIVAL, ask, asks, judge, remember
from simulator.records.arena import Arena, tier_at
from simulator.records.moving import Stream
from simulator.records.record import words_of
from simulator.records.rows import TraceRow, trace_row, trace_row_soon
from simulator.records.run import Run
from simulator.residency import belady, blocks
from simulator.serving import MISS, join_or_fetch, look_up, new_access, peek, service_ns, touch

# Why accesses are not issued any further: the trace goes on elsewhere, something must grow or be emptied, times do not
# fit into 64 bits; an access was issued that has consequences, an event is due, nobody is ready.
NEED_DATA, ROOM, TOO_LATE, ISSUED, DUE, IDLE = range(6)
_NO_SHADOW = -1
# So many accesses before its turn the place of a block is looked up, and the block itself.
_FIND_AHEAD, _USE_AHEAD = 8, 4


@inlined
def issue(
    run: Run, arena: Arena, shadow: Arena, issuer: Stream, number: int, window: Ints, row: TraceRow, access: int,
    now: int,
) -> bool:  # fmt: skip
    """Issue one access; whether it put a question.

    ``issuer``, that has this number, waits for it: in a closed loop its stream, where requests have a life the place of
    its request; else it is not used.
    """
    settings = run.settings
    run.now = now
    key, size, op = row.key, row.size, row.op
    run.n_accesses += 1
    if tally.is_judged(run, access):
        if run.judged_since_ns == NONE:
            tally.begin_judging(run)
        tally.issue(run, arena, access)
    if settings.foresees:
        belady.passed(arena, key, row.next_use)
    missed_there = _NO_SHADOW
    if settings.has_shadow:
        foresees = settings.shadow_foresees != 0
        missed_there = int(is_missed(shadow, key, size, row.next_use, foresees, words_of(run), run.victims))
    waits = settings.is_closed or settings.running
    behind = False
    if settings.reuses_prefixes:
        of_request = issuer if settings.running else streams.stream_of(run, row.stream)
        behind = prefixes.is_behind(run, arena, row, of_request)
    has_policy = settings.trigger != NEVER
    if has_policy:
        judge(run, row.stream, key)
        if settings.is_sync:
            outcome = peek(arena, key)
            if asks(run, outcome):
                if waits:
                    issuer.n_outstanding += 1
                x = new_access(
                    run, access, row.stream, row.request, key, op, size, outcome, missed_there, behind, number
                )
                remember(run, access, key, row.stream, op, outcome)
                if settings.wanted_at_once:
                    at_once.propose_a_part(run, arena, access, key, row.stream, size, op, outcome)
                is_put = ask(run, access, key, row.stream, size, x.at)
                if not is_put:
                    look_up(run, arena, x, False)
                return is_put
    outcome = touch(run, arena, key, op)
    if outcome != MISS and not behind:
        service = service_ns(run, access, size, op)
        tally.close(run, access, row.stream, row.request, key, op, outcome, now, service, service, 0, 0, missed_there)
        if waits:
            issuer.end_ns = max(issuer.end_ns, now + service)
        if run.found_prefetch != NONE or run.is_first_write or tier_at(arena, 0).overflows:
            serving.follow_up(run, arena, key, access)
    else:
        if waits:
            issuer.n_outstanding += 1
            # The usual case, settled here: no other access of the request follows, so the stream waits.
            has_next = settings.is_closed and issuer.next != NONE
            if has_next and trace_row(window, issuer.next).request != issuer.request:
                streams.end_request(run, issuer)
        x = new_access(run, access, row.stream, row.request, key, op, size, outcome, missed_there, behind, number)
        if outcome == MISS:
            outcome = join_or_fetch(run, arena, x, False)
        else:
            serving.follow_up(run, arena, key, access)
            serving.hit_behind(run, arena, x)
    if has_policy and settings.trigger != ON_ARRIVAL:
        is_asking = asks(run, outcome)
        if is_asking and at_once.is_answered(run, arena, shadow, access, key, row.stream, size, op, outcome):
            return False
        remember(run, access, key, row.stream, op, outcome)
        if is_asking:
            if settings.wanted_at_once:
                at_once.propose_a_part(run, arena, access, key, row.stream, size, op, outcome)
            return ask(run, access, key, row.stream, size, NONE)
    return False


@inlined
def _look_ahead(run: Run, arena: Arena, shadow: Arena, window: Ints, at: int, stream: Stream) -> None:
    """Have fetched what accesses soon will read: with many blocks, most of the time is waiting for memory."""
    find, use = at + _FIND_AHEAD, at + _USE_AHEAD
    if run.settings.is_closed and run.n_streams >= _USE_AHEAD:
        # The other streams come in between.
        use = stream.next
        find = trace_row(window, use).follower if use != NONE else NONE
        if find == NONE:
            return
        following = trace_row(window, find).follower
        if following != NONE:
            trace_row_soon(window, following)
    else:
        # Beyond the end nothing is fetched that is there, and nothing goes wrong.
        trace_row_soon(window, find + _FIND_AHEAD)
        if find >= run.window_length:
            return
    key = trace_row(window, find).key
    blocks.find_soon(arena, key)
    if run.settings.has_shadow:
        blocks.find_soon(shadow, key)
        keyset.find_soon(run, run.polluted, key)
    key = trace_row(window, use).key
    blocks.use_soon(arena, key)
    if run.settings.has_shadow:
        blocks.use_soon(shadow, key)


@inlined
def advance(run: Run, arena: Arena, shadow: Arena, window: Ints, horizon: int) -> int:
    """Issue accesses whose time is before ``horizon`` and before any event that they make."""
    is_closed = run.settings.is_closed != 0
    while True:
        # In an open loop that of all streams together, which is not looked at.
        number = run.n_streams
        if is_closed:
            if run.n_ready == 0:
                return IDLE
            number = streams.next_ready(run).stream
        stream = streams.stream_of(run, number)
        if is_closed:
            at, now = stream.next, streams.next_ready(run).time_ns
            if at == NONE and not run.is_at_end:
                return NEED_DATA
            if stream.is_inside and (at == NONE or trace_row(window, at).request != stream.request):
                streams.end_request(run, stream)
                continue
            if at == NONE:
                streams.pop(run)
                continue
        else:
            at = run.position
            if at == run.window_length:
                return IDLE if run.is_at_end else NEED_DATA
            now = trace_row(window, at).time_ns
        if now >= horizon:
            return DUE
        if now > run.latest_ns:
            return TOO_LATE
        if not room.for_access(run, arena, shadow, run.base + at):
            return ROOM
        row = trace_row(window, at)
        if is_closed:
            if not stream.is_inside:
                stream.is_inside = 1
                stream.request = row.request
                stream.end_ns = now
            stream.next = row.follower
        else:
            run.position += 1
        _look_ahead(run, arena, shadow, window, at, stream)
        run.server.has_news = issue(run, arena, shadow, stream, number, window, row, run.base + at, now)
        # Prefetches that links give up need room, which is not looked for here.
        if run.server.has_news or (run.must_choose and run.settings.max_wait_ns != NONE):
            return ISSUED
        if run.must_choose:
            choose(run)
        horizon = min(horizon, events.next_due(run))
