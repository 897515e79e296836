"""Requests that have a life: they arrive, wait for a place, are fetched, computed, decoded, and end (rule R45).

A place is in the heap of who is ready (``streams``) from when it has a request until that has ended, but while it waits
for accesses.
"""

from simulator import flight, room, streams
from simulator.advancing import DUE, IDLE, ISSUED, NEED_DATA, ROOM, TOO_LATE, issue
from simulator.arrays import NONE, Ints
from simulator.coming import (
    AWAITS,
    BEGINS,
    COMPUTED,
    COMPUTES,
    DECODES,
    ENDS,
    FINDS,
    FOUND,
    FREE,
    ask_about,
    end_of,
    prompt_end,
    start,
)
from simulator.compiled import compiled, internal
from simulator.distribution import count
from simulator.events import FOREVER, next_due
from simulator.landing import choose
from simulator.links import PREFETCH
from simulator.prefixes import is_missing
from simulator.questions import ON_ARRIVAL
from simulator.records.arena import Arena
from simulator.records.moving import Life, nth_life, transfer_at
from simulator.records.rows import nth_request_row, trace_row
from simulator.records.run import Run, run_at
from simulator.tally import is_judged


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
    start(run, window)


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
            end = end_of(run, window, at)
            if end == NONE:
                return NEED_DATA
            asks = run.settings.trigger == ON_ARRIVAL
            if asks and not room.for_arrival(run, arena, end - at):
                return ROOM
            run.now, run.arrived = now, end
            if asks and ask_about(run, arena, window, at, prompt_end(window, at, end)):
                run.server.has_news = 1
            start(run, window)
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
