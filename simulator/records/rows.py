"""Rows: of the tables that a run leaves, of the trace that it takes, and of what a policy is shown and told.

The columns of ``accesses``, ``prefetches`` and ``inferences`` are these fields; ``docs/metrics.md`` says more of them.
"""

from typing import Annotated, Any

from simulator.arrays import At, Ints
from simulator.compiled import internal, soon
from simulator.policy import Outcome
from simulator.records.record import Record, nth

MOST_TIERS = 8


class AccessRow(Record):
    """A closed access. Times are in ns; ``shadow`` as in ``tally``."""

    access: int
    stream: int
    request: int
    key: int
    op: int
    outcome: int
    issued_ns: int
    latency_ns: int
    service_ns: int
    queue_ns: int
    transfer_ns: int
    inference_ns: int
    shadow: int


class PrefetchRow(Record):
    """A settled prefetch; NONE is no time, and no expert. The confidence is kept as its bits."""

    prefetch: int
    inference: int
    access: int
    key: int
    size_bytes: int
    source_level: int
    proposed_ns: int
    filled_ns: int
    first_used_ns: int
    first_used_access: int
    saved_ns: int
    evicted_ns: int
    fate: int
    confidence: int
    expert: int


class InferenceRow(Record):
    """A question that is over.

    The last three, which the table lacks, say whether ``predicted_key``, ``next_key``, ``came_true`` mean anything.
    """

    inference: int
    batch: int
    access: int
    stream: int
    status: int
    asked_ns: int
    started_ns: int
    ended_ns: int
    charged_ns: int
    host_ns: int
    device_ns: int
    cpu_ns: int
    predicted_key: int
    confidence: int
    next_key: int
    came_true: int
    n_proposed: int
    n_at_once: int
    n_issued: int
    has_guess: int
    has_next: int
    is_known: int


class RequestRow(Record):
    """A request that has had a life (rule R45), by its first access; how many blocks it read, found, and wrote last.

    ``n_found`` are those that were there, or on their way, when its turn came; ``n_read`` is of all before its answer.
    """

    access: int
    stream: int
    request: int
    arrival_ns: int
    waiting_ns: int
    fetching_ns: int
    computing_ns: int
    decoding_ns: int
    ttft_ns: int
    n_read: int
    n_found: int
    n_written: int


class TransferRow(Record):
    """A block begins its way over a link, in a call that it may share; NONE is no access, and no prefetch.

    The call is over at ``ended_ns``, which may lie behind the end of the run.
    """

    call: int
    link: int
    channel: int
    class_: int
    priority: int
    cause: int
    access: int
    prefetch: int
    key: int
    is_down: int
    size_bytes: int
    queued_ns: int
    started_ns: int
    ended_ns: int


class TraceRow(Record):
    """An access of the trace, to come: all that issuing it reads, in one cache line.

    ``follower`` is the place in the window of its stream's next one, or NONE; ``next_use`` as in ``future``. Where
    requests have a life, nobody follows a stream: ``follower`` is what its request's answer takes in ns, or NONE.
    """

    key: int
    size: int
    stream: int
    request: int
    op: int
    time_ns: int
    follower: int
    next_use: int


class ShownRow(Record):
    """An access that the policy is shown."""

    access: int
    key: int
    stream: int
    outcome: int


class ToldRow(Record):
    """The fate of a prefetch that the policy is told."""

    key: int
    fate: int


class WindowRow(Record):
    """What is counted of the accesses of a window: how many of each outcome, and the sums of their times in ns.

    ``used_bytes``: what the blocks of each tier took as the first of its accesses was issued, at ``begun_ns``, once it
    ``is_begun``.
    """

    n_of_outcome: Annotated[Ints, len(Outcome)]
    latency_ns: int
    inference_ns: int
    is_begun: int
    begun_ns: int
    used_bytes: Annotated[Ints, MOST_TIERS]


nth_access_row, nth_prefetch_row, nth_inference_row = nth(AccessRow), nth(PrefetchRow), nth(InferenceRow)
nth_request_row, nth_transfer_row = nth(RequestRow), nth(TransferRow)
nth_shown_row, nth_told_row, nth_window_row = nth(ShownRow), nth(ToldRow), nth(WindowRow)
_nth_trace_row = nth(TraceRow)
_TRACE_WORDS = TraceRow.words
START: At[Any] = 0  # type: ignore[assignment]
"""Where rows lie that have an array to themselves."""


@internal
def trace_row(window: Ints, i: int) -> TraceRow:
    """Row ``i`` of the window on the trace, an array by address."""
    return _nth_trace_row(window, START, i)


@internal
def trace_row_soon(window: Ints, i: int) -> None:
    """Have that row fetched, which will be read; nothing goes wrong if there is none."""
    soon(window, i * _TRACE_WORDS)
