"""Requests that have a life: they arrive, wait for a place, are fetched, computed, decoded, and end (rule R45).

A place is in the heap of who is ready (``streams``) from when it has a request until that has ended, but while it waits
for accesses.
"""

from simulator import flight, room, streams
from simulator.advancing import DUE, IDLE, ISSUED, NEED_DATA, ROOM, TOO_LATE, issue
from simulator.arrays import NONE, At, Ints
from simulator.compiled import compiled, internal
from simulator.distribution import count
from simulator.events import FOREVER, next_due
from simulator.landing import choose
from simulator.links import PREFETCH
from simulator.prefixes import is_missing
from simulator.questions import ON_ARRIVAL, ask
from simulator.records.arena import Arena
from simulator.records.moving import Access, Life, nth_life, transfer_at
from simulator.records.rows import nth_request_row, nth_shown_row, trace_row
from simulator.records.run import Run, run_at
from simulator.serving import peek
from simulator.tally import is_judged
from simulator.trace import WRITE

FREE, BEGINS, AWAITS, FINDS, FOUND, COMPUTES, COMPUTED, DECODES, ENDS = range(9)
_NOBODY: At[Access] = NONE


@internal
def _end_of(run: Run, window: Ints, at: int) -> int:
    """Behind the last access of a request in the window; NONE if more of it may have to be loaded."""
    first, end = trace_row(window, at), at + 1
    while end < run.window_length:
        row = trace_row(window, end)
        if row.request != first.request or row.stream != first.stream:
            return end
        end += 1
    return end if run.is_at_end else NONE


@internal
def _prompt_end(window: Ints, at: int, end: int) -> int:
    """Behind the last read of a request: what follows is its answer."""
    while end > at and trace_row(window, end - 1).op == WRITE:
        end -= 1
    return end


@internal
def _ask(run: Run, arena: Arena, window: Ints, at: int, end: int) -> bool:
    """A policy that is asked at arrivals is shown what the request reads, as a look-up would find it."""
    last = at - 1
    for i in range(at, end):
        row = trace_row(window, i)
        if row.op != WRITE:
            shown = run.rows.shown
            to = nth_shown_row(run, shown.rows, shown.n)
            shown.n += 1
            to.access, to.key, to.stream, to.outcome = run.base + i, row.key, row.stream, peek(arena, row.key)
            last = i
    if last < at:
        return False
    row = trace_row(window, last)
    return ask(run, run.base + last, row.key, row.stream, row.size, _NOBODY)


@internal
def _start(run: Run, window: Ints) -> None:
    """Those that have come get the places that are free, the first that came the first place."""
    for number in range(run.settings.running):
        if run.position >= run.arrived:
            return
        life = nth_life(run, run.lives, number)
        if life.phase == FREE:
            at = run.position
            first, end, it = trace_row(window, at), _end_of(run, window, at), life.issuer
            it.next, it.n_outstanding, it.is_inside, it.request = at, 0, 0, first.request
            it.prefix_of, it.is_broken = first.request, 0
            life.phase, life.first, life.stream, life.end = BEGINS, run.base + at, first.stream, end
            life.prompt_end = _prompt_end(window, at, end)
            life.n_read, life.n_answer = life.prompt_end - at, end - life.prompt_end
            life.n_found = life.n_written = 0
            life.arrival_ns, life.decode_ns = first.time_ns, first.follower
            if life.decode_ns == NONE:
                life.decode_ns = life.n_answer * run.settings.decode_block_ns
            run.position = end
            streams.push(run, number, run.now)


@internal
def _awaits(run: Run, window: Ints, life: Life) -> bool:
    """Whether prefetches are bringing blocks of its prompt."""
    for at in range(life.issuer.next, life.prompt_end):
        moving = flight.find(run, trace_row(window, at).key)
        if moving != NONE and transfer_at(run, moving).priority == PREFETCH:
            return True
    return False


@internal
def _look_at_waiting(run: Run) -> None:
    """Something has landed: those that wait for what prefetches bring look again."""
    run.has_landed = 0
    if run.settings.timeout_ns != NONE:
        for number in range(run.settings.running):
            if nth_life(run, run.lives, number).phase == AWAITS:
                streams.bring_forward(run, number, run.now)


@internal
def _pause(run: Run, life: Life, phase: int) -> None:
    """What the first place that is ready issued is to be served before it goes on."""
    life.phase = phase
    streams.end_request(run, life.issuer)


@internal
def _part(whole: int, i: int, n: int) -> int:
    """The ``i``-th of ``n`` parts of it, rounded down, though their product may be no 64-bit number."""
    return whole // n * i + whole % n * i // n


@internal
def _go_on(run: Run, arena: Arena, window: Ints, number: int) -> bool:
    """The first place that is ready has come to the next part of its request's life; whether an access is next."""
    life = nth_life(run, run.lives, number)
    it, settings = life.issuer, run.settings
    if life.phase == BEGINS or life.phase == AWAITS:
        if life.phase == BEGINS:
            life.started_ns = run.now
        deadline = life.arrival_ns + settings.timeout_ns
        if settings.timeout_ns != NONE and run.now < deadline and _awaits(run, window, life):
            life.phase = AWAITS
            streams.end_request_at(run, deadline)
            return False
        life.phase, it.is_inside, it.end_ns = FINDS, 1, run.now
    if life.phase == FINDS:
        if it.next == life.prompt_end or (settings.defers and is_missing(run, arena, trace_row(window, it.next))):
            life.n_found = it.next - (life.prompt_end - life.n_read)
            _pause(run, life, FOUND)
            return False
        return True
    if life.phase == FOUND:
        life.fetched_ns = it.end_ns
        life.phase, it.is_inside = COMPUTES, 1
    if life.phase == COMPUTES:
        if it.next == life.prompt_end:
            _pause(run, life, COMPUTED)
            return False
        return True
    if life.phase == COMPUTED:
        life.first_token_ns, life.phase = it.end_ns, DECODES
    if it.is_inside:
        # A block of the answer was issued: the next one is when that is served.
        it.is_inside = 0
        _pause(run, life, DECODES)
        return False
    if life.n_written == life.n_answer:
        life.phase = ENDS
        streams.end_request_at(run, max(it.end_ns, life.first_token_ns + life.decode_ns))
        return False
    due = life.first_token_ns + _part(life.decode_ns, life.n_written + 1, life.n_answer)
    if due > run.now:
        streams.end_request_at(run, due)
        return False
    life.n_written += 1
    it.is_inside = 1
    return True


@internal
def _record(run: Run, life: Life) -> None:
    """All accesses of a request have been served: its row, and its part in the sums."""
    end_ns = life.issuer.end_ns
    if life.phase <= FOUND:
        life.n_found = life.issuer.next - (life.prompt_end - life.n_read)
        life.fetched_ns = end_ns
    if life.phase <= COMPUTED:
        life.first_token_ns = end_ns
    if not is_judged(run, life.first):
        return
    books, rows = run.books, run.rows.requests
    waiting, fetching = life.started_ns - life.arrival_ns, life.fetched_ns - life.started_ns
    computing = life.first_token_ns - life.fetched_ns
    decoding = max(life.first_token_ns + life.decode_ns, end_ns) - life.first_token_ns
    ttft = waiting + fetching + computing
    books.n_requests += 1
    books.n_read += life.n_read
    books.n_found += life.n_found
    books.waiting_ns += waiting
    books.fetching_ns += fetching
    books.computing_ns += computing
    books.decoding_ns += decoding
    count(run, books.ttft, ttft)
    if run.kept.requests:
        row = nth_request_row(run, rows.rows, rows.n)
        rows.n += 1
        row.access, row.stream, row.request = life.first, life.stream, life.issuer.request
        row.arrival_ns, row.waiting_ns, row.fetching_ns = life.arrival_ns, waiting, fetching
        row.computing_ns, row.decoding_ns, row.ttft_ns = computing, decoding, ttft
        row.n_read, row.n_found, row.n_written = life.n_read, life.n_found, life.n_answer


@compiled
def close_left(machine: int) -> bool:
    """At the end all accesses have been served: record the requests that are running; False if there is no room.

    ``machine`` is the address of the run's memory.
    """
    run = run_at(machine)
    for number in range(run.settings.running):
        life = nth_life(run, run.lives, number)
        if life.phase != FREE:
            if not room.for_request(run):
                return False
            _record(run, life)
            life.phase = FREE
    return True


@internal
def _end(run: Run, window: Ints, number: int) -> None:
    """The first place that is ready has no request any more, and gets the next."""
    life = nth_life(run, run.lives, number)
    _record(run, life)
    life.phase, life.issuer.next = FREE, NONE
    streams.pop(run)
    _start(run, window)


@internal
def advance(run: Run, arena: Arena, shadow: Arena, window: Ints, horizon: int) -> int:
    """Have requests come and issue accesses whose time is before ``horizon`` and before any event that they make."""
    while True:
        if run.has_landed:
            _look_at_waiting(run)
        if run.arrived == run.window_length and not run.is_at_end:
            return NEED_DATA
        arrival = trace_row(window, run.arrived).time_ns if run.arrived < run.window_length else FOREVER
        ready = streams.next_ready(run).time_ns if run.n_ready > 0 else FOREVER
        now = min(arrival, ready)
        if now == FOREVER:
            return IDLE
        if now >= horizon:
            return DUE
        if now > run.latest_ns:
            return TOO_LATE
        if arrival <= ready:
            at = run.arrived
            end = _end_of(run, window, at)
            if end == NONE:
                return NEED_DATA
            asks = run.settings.trigger == ON_ARRIVAL
            if asks and not room.for_arrival(run, arena, end - at):
                return ROOM
            run.now, run.arrived = now, end
            if asks and _ask(run, arena, window, at, _prompt_end(window, at, end)):
                run.server.has_news = 1
            _start(run, window)
            if run.server.has_news:
                return ISSUED
            continue
        number = streams.next_ready(run).stream
        life = nth_life(run, run.lives, number)
        run.now = now
        if life.phase == ENDS:
            if not room.for_request(run):
                return ROOM
            _end(run, window, number)
            continue
        it = life.issuer
        if not room.for_access(run, arena, shadow, run.base + it.next):
            return ROOM
        if not _go_on(run, arena, window, number):
            continue
        at = it.next
        it.next += 1
        run.server.has_news = issue(
            run, arena, shadow, it, number, window, trace_row(window, at), run.base + at, now
        )  # fmt: skip
        if run.server.has_news or (run.must_choose and run.settings.max_wait_ns != NONE):
            return ISSUED
        if run.must_choose:
            choose(run)
        horizon = min(horizon, next_due(run))
