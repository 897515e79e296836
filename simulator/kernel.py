"""The run itself, compiled: accesses of all streams in time order, and what happens in between, until Python must."""

from functools import cache
from types import FunctionType
from typing import Any

from numba import types

from simulator import advancing, attribution, backlog, calls, events, keyset, lives, questions, room, serving, updating
from simulator.answers import HAS_GUESS, call_learn, call_want, distinct
from simulator.arrays import NONE, At
from simulator.charging import LISTED, MEASURED, MEASURED_CPU
from simulator.clock import CPU, WALL, now_ns
from simulator.compiled import compiled_for, floats_at, inlined, internal, ints_at
from simulator.inference import batch_size, begin, can_start, deliver, end, next_batch
from simulator.landing import arrive, choose
from simulator.links import link_of
from simulator.records.arena import Arena, arena_at
from simulator.records.moving import nth_event, question_at, transfer_at
from simulator.records.rows import nth_shown_row
from simulator.records.run import Run, run_at
from simulator.residency import blocks

# Why it stopped: as ``advancing`` says; Python has a question to answer, there is no cost left to charge, all is done.
NEED_DATA, ROOM, TOO_LATE, ASK, COSTS, DONE = range(6)
_advance = advancing.advance


@internal
def _who_comes_in(run: Run, arena: Arena, level: int) -> At[Any]:
    """The transfer whose turn it is at a tier that was shut (rule R40); a write looks again here, and is none."""
    if not backlog.may_come_in(run, level):
        return NONE
    if backlog.is_write_next(run, level):
        serving.take_turn(run, arena, backlog.next_write(run, level))
        return NONE
    return backlog.next_transfer(run, level).at


@internal
def _happen(run: Run, arena: Arena, kind: int, what: At[Any]) -> None:
    """A call or an inference ends, an answer that took no time is there, or a tier lets in who is next."""
    has_turn = kind == events.MAY_COME_IN
    if has_turn or kind == events.CALL_ENDS:
        place = what
        if has_turn:
            place = _who_comes_in(run, arena, what)
        else:
            link = link_of(run, transfer_at(run, what))
            link.n_free += 1
            if run.kept.transfers:
                calls.end(run, link, what)
            run.must_choose = 1
            # Those of one call were on their way together: each has ended its hop before any of them lands.
            while place != NONE:
                t = transfer_at(run, place)
                attribution.end_hop(run, t)
                place = t.mate
            place = what
        while place != NONE:
            t = transfer_at(run, place)
            place = t.mate
            serving.end_hop(run, arena, t, arrive(run, arena, t, has_turn))
        if has_turn:
            backlog.open_next(run, what)
        return
    if kind == events.INFERENCE_ENDS:
        end(run)
    deliver(run, arena, what)


@inlined
def _decide(run: Run, arena: Arena) -> At[Any]:
    """A table's answers to the next batch of questions, which is begun: as ``begin``."""
    server, settings, table = run.server, run.settings, run.settings.table
    state, keys, confidences = ints_at(table.state), ints_at(table.keys), floats_at(table.confidences)
    bits, experts = ints_at(table.confidences), ints_at(table.experts)
    cpu = wall = 0
    # A system call, which takes longer than all else about a question: where somebody wants to know.
    reads_cpu = settings.charge == MEASURED_CPU or (settings.is_timed and run.kept.inferences)
    if reads_cpu:
        cpu = now_ns(CPU)
    if settings.is_timed:
        wall = now_ns(WALL)
    if settings.wanted_at_once == 0:
        questions.tell(run, table)
    place, shown = next_batch(run), server.shown
    for _ in range(batch_size(run)):
        q = question_at(run, place)
        while shown < q.shown_end:
            row = nth_shown_row(run, run.rows.shown.rows, shown - server.first_kept)
            call_learn(table.learn, state, row.key, row.stream, row.outcome)
            shown += 1
        found = call_want(table.want, state, q.key, q.stream, keys, confidences)
        if settings.is_learned:
            n, has_guess = found & ~HAS_GUESS, found & HAS_GUESS != 0
            guess = n
        else:
            n, guess = distinct(q.key, keys, confidences, found), 0
            has_guess = n > 0
        for i in range(n):
            blocks.find_soon(arena, keys[i])
            keyset.find_soon(run, run.polluted, keys[i])
        its_key, its_bits = (keys[guess], bits[guess]) if has_guess else (0, 0)
        questions.put_answer(run, q, has_guess, its_key, its_bits, keys, bits, experts, n)
        place = q.queue.next
    if settings.is_timed:
        wall = now_ns(WALL) - wall
    if reads_cpu:
        cpu = now_ns(CPU) - cpu
    charged = settings.charge_ns
    if settings.charge == MEASURED:
        charged = wall
    elif settings.charge == MEASURED_CPU:
        charged = cpu
    elif settings.charge == LISTED:
        charged = ints_at(server.costs)[server.n_charged]
        server.n_charged += 1
    return begin(run, charged, wall, 0, cpu)


@internal
def _are_all_served(run: Run) -> bool:
    """Whether the accesses that were loaded are served, all of them."""
    return run.n_outstanding == 0 and run.n_accesses == run.n_loaded


def _run(tiers: int, tier: int, machine: int, trace: int) -> int:
    """Go on until Python is needed, and why.

    All arguments are addresses: the arenas of the tiers and of tier 0 alone, the run's memory, the window on the trace.

    The order of what happens at one instant (rule R2): what an access or a completion brings about at once, a question
    that an access has just put included; then the next completion; when there is none left, servers and then links
    choose what they start; then the next access.
    """
    run, arena, shadow, window = run_at(machine), arena_at(tiers), arena_at(tier), ints_at(trace)
    run.spare = 0
    while True:
        if run.fired != NONE:
            what = run.fired
            if not room.for_event(run, arena, shadow, run.fired_kind, what):
                return ROOM
            run.fired = NONE
            _happen(run, arena, run.fired_kind, what)
            continue
        is_over, due = _are_all_served(run), events.next_due(run)
        if can_start(run) and (run.server.has_news or (due > run.now and not is_over)):
            if run.settings.asks_python:
                return ASK
            if not room.for_questions(run, arena, shadow, batch_size(run)):
                return ROOM
            if run.settings.charge == LISTED and run.server.n_charged == run.server.n_costs:
                return COSTS
            run.fired = _decide(run, arena)
            run.fired_kind = events.ANSWER_IS_THERE
            continue
        run.server.has_news = 0
        if is_over and not run.is_at_end:
            return NEED_DATA
        if due > run.now or is_over:
            if updating.can_go_on(run) and not is_over:
                updating.go_on(run)
                due = events.next_due(run)
            if run.must_choose:
                if not room.for_choice(run, arena, shadow):
                    return ROOM
                choose(run)
                due = events.next_due(run)
                if due <= run.now:
                    continue
            if is_over:
                # What else is due at this time does not happen any more.
                return DONE if run.now <= run.latest_ns else TOO_LATE
            why = _advance(run, arena, shadow, window, due)
            if why == advancing.ISSUED or _are_all_served(run):
                continue
            if why < advancing.ISSUED:
                return why
        event = nth_event(run, run.events, 0)
        run.now = event.due_ns
        if run.now > run.latest_ns:
            return TOO_LATE
        kind = event.kind
        run.fired_kind, run.fired = kind, event.what
        events.pop(run)
        if kind == events.UPDATE_ENDS:
            updating.end(run)


# The same for requests that have a life: what few runs need, no other has to wait for while it is compiled. A function
# of its own, by its name and by what it knows as ``_advance``: closures are not kept on the disk.
_run_lives = FunctionType(_run.__code__, {**globals(), "_advance": lives.advance}, "_run_lives")
_run_lives.__qualname__ = "_run_lives"


@cache
def compile_run(has_lives: bool = False) -> Any:
    """``_run``, whose machine code is one for all policies; another one where requests have a life."""
    return compiled_for(types.int64(*[types.int64] * 4), _run_lives if has_lives else _run)
