"""What is due when: a binary heap in the run, by time, then first come, first served (rule R2)."""

from typing import Any

from simulator.arrays import At
from simulator.compiled import internal
from simulator.records.moving import Event, nth_event
from simulator.records.run import Run

CALL_ENDS, INFERENCE_ENDS, ANSWER_IS_THERE, MAY_COME_IN, UPDATE_ENDS = range(5)
FOREVER = 2**63 - 1


@internal
def _is_before(one: Event, other: Event) -> bool:
    return one.due_ns < other.due_ns or (one.due_ns == other.due_ns and one.number < other.number)


@internal
def _copy(source: Event, target: Event) -> None:
    target.due_ns, target.number, target.kind, target.what = source.due_ns, source.number, source.kind, source.what


@internal
def schedule(run: Run, delay_ns: int, kind: int, what: At[Any]) -> None:
    """Something happens so much later."""
    at = run.n_events
    run.n_events += 1
    due = run.now + delay_ns
    while at > 0:
        above = nth_event(run, run.events, (at - 1) // 2)
        # Of equal times the older one stays above.
        if above.due_ns <= due:
            break
        _copy(above, nth_event(run, run.events, at))
        at = (at - 1) // 2
    event = nth_event(run, run.events, at)
    event.due_ns, event.number, event.kind, event.what = due, run.n_scheduled, kind, what
    run.n_scheduled += 1


@internal
def next_due(run: Run) -> int:
    """When the next event is due; FOREVER if there is none."""
    return nth_event(run, run.events, 0).due_ns if run.n_events > 0 else FOREVER


@internal
def pop(run: Run) -> None:
    """The first event is taken out; the caller has read it."""
    run.n_events -= 1
    n = run.n_events
    last = nth_event(run, run.events, n)
    at = 0
    while True:
        child = 2 * at + 1
        if child >= n:
            break
        event = nth_event(run, run.events, child)
        if child + 1 < n and _is_before(nth_event(run, run.events, child + 1), event):
            child += 1
            event = nth_event(run, run.events, child)
        if not _is_before(event, last):
            break
        _copy(event, nth_event(run, run.events, at))
        at = child
    if at != n:
        _copy(last, nth_event(run, run.events, at))


@internal
def cancel(run: Run, kind: int) -> None:
    """The one event of a kind does not happen."""
    at = 0
    while nth_event(run, run.events, at).kind != kind:
        at += 1
    # As if it were due first of all: those above it come down.
    while at > 0:
        above = (at - 1) // 2
        _copy(nth_event(run, run.events, above), nth_event(run, run.events, at))
        at = above
    pop(run)
