"""The inference server: what a prediction costs, who waits for it, what is dropped (R13, R14, R16)."""

from simulator.arrays import NONE, At
from simulator.compiled import internal
from simulator.events import INFERENCE_ENDS, schedule
from simulator.issuing import issue
from simulator.questions import ANSWERED, STALE, finish
from simulator.records.arena import Arena
from simulator.records.moving import Question, access_at, question_at
from simulator.records.run import Run
from simulator.serving import look_up
from simulator.streams import stream_of
from simulator.units import PPM
from simulator.updating import give_way, is_on_server


@internal
def can_start(run: Run) -> bool:
    """Whether a server is free for a question that waits."""
    return run.server.queue.n > 0 and run.server.n_busy < run.settings.servers


@internal
def batch_size(run: Run) -> int:
    """How many questions are answered together next."""
    return min(run.settings.batch_size, run.server.queue.n)


@internal
def next_batch(run: Run) -> At[Question]:
    """The oldest of the questions that are answered together next; the others follow it in the queue."""
    place = run.server.queue.list.first
    if run.settings.takes_newest:
        place = run.server.queue.list.last
        for _ in range(batch_size(run) - 1):
            place = question_at(run, place).queue.prev
    return place


@internal
def begin(run: Run, charged_ns: int, host_ns: int, device_ns: int, cpu_ns: int) -> At[Question]:
    """The next batch, whose answers are known, is charged its time; its first question if that is none, else NONE."""
    server, n = run.server, batch_size(run)
    first = next_batch(run)
    place, before = first, question_at(run, first).queue.prev
    for i in range(n):
        q = question_at(run, place)
        q.batch, q.started_ns = server.n_batches, run.now
        q.charged_ns, q.host_ns, q.device_ns, q.cpu_ns = charged_ns, host_ns, device_ns, cpu_ns
        # One that was put before others that are answered already was shown with theirs.
        server.shown = max(server.shown, q.shown_end)
        stream_of(run, q.stream).queued = NONE
        place = q.queue.next
        if i == n - 1:
            q.queue.next = NONE
    if before == NONE:
        server.queue.list.first = place
    else:
        question_at(run, before).queue.next = place
    if place == NONE:
        server.queue.list.last = before
    else:
        question_at(run, place).queue.prev = before
    server.has_news = 0
    server.queue.n -= n
    server.n_batches += 1
    shown = run.rows.shown
    if server.shown == server.first_kept + shown.n:
        server.first_kept, shown.n = server.shown, 0
    if charged_ns == 0:
        # No time passes, so no event either: the answer is there before anything else can happen.
        return first
    give_way(run)
    server.n_busy += 1
    server.slow_ppm = run.settings.busy_ppm
    schedule(run, charged_ns, INFERENCE_ENDS, first)
    return NONE


@internal
def end(run: Run) -> None:
    """A server is free again."""
    run.server.n_busy -= 1
    if run.server.n_busy == 0 and not is_on_server(run):
        run.server.slow_ppm = PPM


@internal
def deliver(run: Run, arena: Arena, first: At[Question]) -> None:
    """The answers to a batch are there: who waited goes on, and what they want is issued."""
    stale_after_ns = run.settings.stale_after_ns
    place = first
    while place != NONE:
        q = question_at(run, place)
        place = q.queue.next
        q.ended_ns = run.now
        is_stale = stale_after_ns >= 0 and run.now - q.asked_ns > stale_after_ns
        q.status = STALE if is_stale else ANSWERED
        if q.waiter != NONE:
            x = access_at(run, q.waiter)
            x.inference_ns = run.now - x.issued_ns
            look_up(run, arena, x, False)
        issue(run, arena, q)
        finish(run, q)
