"""Who issues next: the streams of a closed loop, in a heap by time (rule R2), and the ends of their requests."""

from simulator.compiled import internal
from simulator.records.moving import Ready, Stream, nth_life, nth_ready, nth_stream
from simulator.records.run import Run


@internal
def stream_of(run: Run, stream: int) -> Stream:
    """A stream by its number."""
    return nth_stream(run, run.streams, stream)


@internal
def issuer_of(run: Run, number: int) -> Stream:
    """Who issues accesses and waits for them: in a closed loop a stream, else the place of a request (rule R45)."""
    return nth_life(run, run.lives, number).issuer if run.settings.running else nth_stream(run, run.streams, number)


@internal
def next_ready(run: Run) -> Ready:
    """The first that is ready, and when: of those ready at the same time the one with the smallest number."""
    return nth_ready(run, run.ready, 0)


@internal
def _is_before(time_ns: int, stream: int, other: Ready) -> bool:
    return time_ns < other.time_ns or (time_ns == other.time_ns and stream < other.stream)


@internal
def _copy(source: Ready, target: Ready) -> None:
    target.time_ns, target.stream = source.time_ns, source.stream


@internal
def _rise(run: Run, at: int, time_ns: int, stream: int) -> None:
    """Put a stream into the hole at ``at``, or above it."""
    while at > 0:
        above = nth_ready(run, run.ready, (at - 1) >> 1)
        if not _is_before(time_ns, stream, above):
            break
        _copy(above, nth_ready(run, run.ready, at))
        at = (at - 1) >> 1
    ready = nth_ready(run, run.ready, at)
    ready.time_ns, ready.stream = time_ns, stream


@internal
def _replace_first(run: Run, time_ns: int, stream: int) -> None:
    """Put a stream in place of the first.

    It is mostly one of the last: the hole sinks to the bottom at one comparison a level, and the stream rises from it.
    """
    n = run.n_ready
    at = 0
    child = 1
    while child < n:
        below = nth_ready(run, run.ready, child)
        if child + 1 < n:
            other = nth_ready(run, run.ready, child + 1)
            if _is_before(other.time_ns, other.stream, below):
                child += 1
                below = other
        _copy(below, nth_ready(run, run.ready, at))
        at = child
        child = 2 * at + 1
    _rise(run, at, time_ns, stream)


@internal
def push(run: Run, stream: int, time_ns: int) -> None:
    """A stream is ready for its next request from a time on."""
    run.n_ready += 1
    _rise(run, run.n_ready - 1, time_ns, stream)


@internal
def pop(run: Run) -> None:
    """The first stream waits, or has ended."""
    run.n_ready -= 1
    if run.n_ready > 0:
        last = nth_ready(run, run.ready, run.n_ready)
        _replace_first(run, last.time_ns, last.stream)


@internal
def bring_forward(run: Run, number: int, time_ns: int) -> None:
    """One that is ready at some later time is ready then."""
    at = 0
    while nth_ready(run, run.ready, at).stream != number:
        at += 1
    _rise(run, at, time_ns, number)


@internal
def complete(run: Run, number: int, end_ns: int) -> None:
    """An access that waited ends then; its issuer goes on if it was the last of its request."""
    stream = issuer_of(run, number)
    stream.end_ns = max(stream.end_ns, end_ns)
    stream.n_outstanding -= 1
    if stream.n_outstanding == 0 and not stream.is_inside:
        push(run, number, stream.end_ns + run.settings.think_ns)


@internal
def end_request_at(run: Run, time_ns: int) -> None:
    """The first that is ready is ready again from that time on."""
    _replace_first(run, time_ns, next_ready(run).stream)


@internal
def end_request(run: Run, stream: Stream) -> None:
    """All accesses of the first stream's request are issued: it waits for those outstanding or is ready again."""
    stream.is_inside = 0
    if stream.n_outstanding > 0:
        pop(run)
    else:
        _replace_first(run, stream.end_ns + run.settings.think_ns, next_ready(run).stream)
