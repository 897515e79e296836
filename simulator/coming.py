"""Requests come, a policy may be asked about them, and places are given to them (rule R45)."""

from simulator import streams
from simulator.arrays import NONE, At, Ints
from simulator.compiled import internal
from simulator.questions import ask
from simulator.records.arena import Arena
from simulator.records.moving import Access, nth_life
from simulator.records.rows import nth_shown_row, trace_row
from simulator.records.run import Run
from simulator.serving import peek
from simulator.trace import WRITE

# The parts of a life: nobody has the place; its turn has come; it waits for what prefetches bring, issues what is
# found, waits for that; issues what is missing, waits for that; decodes; waits until that is over.
FREE, BEGINS, AWAITS, FINDS, FOUND, COMPUTES, COMPUTED, DECODES, ENDS = range(9)
_NOBODY: At[Access] = NONE


@internal
def end_of(run: Run, window: Ints, at: int) -> int:
    """Behind the last access of a request in the window; NONE if more of it may have to be loaded."""
    first, end = trace_row(window, at), at + 1
    while end < run.window_length:
        row = trace_row(window, end)
        if row.request != first.request or row.stream != first.stream:
            return end
        end += 1
    return end if run.is_at_end else NONE


@internal
def prompt_end(window: Ints, at: int, end: int) -> int:
    """Behind the last read of a request: what follows is its answer."""
    while end > at and trace_row(window, end - 1).op == WRITE:
        end -= 1
    return end


@internal
def ask_about(run: Run, arena: Arena, window: Ints, at: int, end: int) -> bool:
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
def start(run: Run, window: Ints) -> None:
    """Those that have come get the places that are free, the first that came the first place."""
    for number in range(run.settings.running):
        if run.position >= run.arrived:
            return
        life = nth_life(run, run.lives, number)
        if life.phase == FREE:
            at = run.position
            first, end, it = trace_row(window, at), end_of(run, window, at), life.issuer
            it.next, it.n_outstanding, it.is_inside, it.request = at, 0, 0, first.request
            it.prefix_of, it.is_broken = first.request, 0
            life.phase, life.first, life.stream, life.end = BEGINS, run.base + at, first.stream, end
            life.prompt_end = prompt_end(window, at, end)
            life.n_read, life.n_answer = life.prompt_end - at, end - life.prompt_end
            life.n_found = life.n_written = 0
            life.arrival_ns, life.decode_ns = first.time_ns, first.follower
            if life.decode_ns == NONE:
                life.decode_ns = life.n_answer * run.settings.decode_block_ns
            run.position = end
            streams.push(run, number, run.now)
