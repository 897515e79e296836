"""The compiled loop: runs accesses across all streams in time order until something needs the engine."""

from simulator.compiled import compiled
from simulator.feed import (
    S_END,
    S_INSIDE,
    S_NEXT,
    S_OUTSTANDING,
    S_REQUEST,
    S_TIME,
    W_FOLLOWER,
    W_KEY,
    W_NEXT_USE,
    W_OP,
    W_REQUEST,
    W_SIZE,
    W_STREAM,
    W_TIME,
)
from simulator.policy import Outcome, Trigger
from simulator.residency import belady, blocks, eviction
from simulator.residency.layout import NONE, RESIDENT, WHERE, Ints, tier

# Why the loop stopped.
IDLE, HORIZON, NEED_DATA, LOG_FULL, HIT, NOT_RESIDENT, ASK_FIRST = range(7)
# The control block: settings of the run ...
(C_CLOSED, C_THINK, C_LATENCY, C_READ, C_WRITE, C_TRIGGER, C_SYNC, C_SLOW_PPM, C_AT_END, C_FORESEES) = range(10)
# ... state of the loop, and what it stopped at: time, position, stream, key, size, op, request, the tiers that hold the
# block, its prefetch row, whether it was clean and has now been written, outcome.
C_HEAP, C_POSITION, C_LOGGED = range(10, 13)
(C_TIME, C_AT, C_STREAM, C_KEY, C_SIZE, C_OP, C_REQUEST, C_WHERE, C_PREFETCH, C_FIRST_WRITE, C_OUTCOME) = range(13, 24)
# ... and the rows of accesses that the engine closed.
C_CLOSED_ROWS = 24
CONTROL_SIZE = 25
# Columns of the log; an outcome of NOT_CLOSED or more means that the engine closes the access.
L_AT, L_TIME, L_OUTCOME, L_SERVICE = range(4)
LOG_COLUMNS = 4
NOT_CLOSED = 16
PPM = 1_000_000
# Dirtiness: the content is nowhere else. What was computed can be computed again; what was written cannot.
CLEAN, COMPUTED, WRITTEN = range(3)

_HIT, _HIT_PREFETCHED, _MISS = int(Outcome.HIT), int(Outcome.HIT_PREFETCHED), int(Outcome.MISS)
_ON_MISS, _TAGGED, _ON_ACCESS = int(Trigger.MISS), int(Trigger.TAGGED), int(Trigger.ACCESS)


@compiled
def service_ns(c: Ints, size: int, op: int) -> int:
    """Service from tier 0: latency and bytes over bandwidth, slower while an inference shares the GPU."""
    bandwidth = c[C_WRITE] if op == 1 else c[C_READ]
    ns = c[C_LATENCY] - (-(size * 1_000_000_000) // bandwidth)
    if c[C_SLOW_PPM] != PPM:
        ns = -(-(ns * c[C_SLOW_PPM]) // PPM)
    return ns


@compiled
def _before(streams: Ints, a: int, b: int) -> bool:
    return streams[S_TIME, a] < streams[S_TIME, b] or (streams[S_TIME, a] == streams[S_TIME, b] and a < b)


@compiled
def sift_down(heap: Ints, n: int, streams: Ints) -> None:
    """Restore the heap after the first stream's time has grown."""
    at, s = 0, heap[0]
    while True:
        child = 2 * at + 1
        if child >= n:
            break
        if child + 1 < n and _before(streams, heap[child + 1], heap[child]):
            child += 1
        if not _before(streams, heap[child], s):
            break
        heap[at] = heap[child]
        at = child
    heap[at] = s


@compiled
def push(c: Ints, heap: Ints, streams: Ints, s: int) -> None:
    """A stream is ready for its next request."""
    at = c[C_HEAP]
    c[C_HEAP] += 1
    while at > 0:
        parent = (at - 1) // 2
        if not _before(streams, s, heap[parent]):
            break
        heap[at] = heap[parent]
        at = parent
    heap[at] = s


@compiled
def complete(c: Ints, heap: Ints, streams: Ints, s: int, end: int) -> None:
    """An access that the engine has closed ends at ``end``; its stream goes on if it was the last of its request."""
    streams[S_END, s] = max(streams[S_END, s], end)
    streams[S_OUTSTANDING, s] -= 1
    if streams[S_OUTSTANDING, s] == 0 and not streams[S_INSIDE, s]:
        streams[S_TIME, s] = streams[S_END, s] + c[C_THINK]
        push(c, heap, streams, s)


@compiled
def serve(
    c: Ints,
    heap: Ints,
    streams: Ints,
    rows: Ints,
    now: int,
    access: int,
    stream: int,
    request: int,
    key: int,
    op: int,
    size: int,
    outcome: int,
    issued: int,
    transfer: int,
    inference: int,
) -> int:
    """Serve an access whose block is in tier 0 now, and close its row; how many rows are closed."""
    n = c[C_CLOSED_ROWS]
    c[C_CLOSED_ROWS] = n + 1
    service = service_ns(c, size, op)
    row = rows[n]
    row[0], row[1], row[2], row[3], row[4], row[5] = access, stream, request, key, op, outcome
    row[6], row[7], row[8] = issued, now - issued + service, service
    row[9], row[10], row[11] = now - issued - inference - transfer, transfer, inference
    if c[C_CLOSED]:
        complete(c, heap, streams, stream, now + service)
    return n + 1


@compiled
def _pop(c: Ints, heap: Ints, streams: Ints) -> None:
    c[C_HEAP] -= 1
    if c[C_HEAP] > 0:
        heap[0] = heap[c[C_HEAP]]
        sift_down(heap, c[C_HEAP], streams)


@compiled
def _end_request(c: Ints, heap: Ints, streams: Ints, s: int) -> None:
    """All accesses of a request are issued: the stream waits for those outstanding or is ready again."""
    streams[S_INSIDE, s] = 0
    if streams[S_OUTSTANDING, s] > 0:
        _pop(c, heap, streams)
    else:
        streams[S_TIME, s] = streams[S_END, s] + c[C_THINK]
        sift_down(heap, c[C_HEAP], streams)


@compiled
def touch(a: Ints, c: Ints, key: int, op: int) -> bool:
    """Use a block if tier 0 holds it; leaves what it was in the control block."""
    t = tier(0)
    slot = blocks.find(a, key)
    c[C_WHERE] = 0 if slot == NONE else a[slot + WHERE] & RESIDENT
    c[C_PREFETCH] = NONE
    c[C_FIRST_WRITE] = 0
    if not c[C_WHERE] & 1:
        c[C_OUTCOME] = _MISS
        return False
    c[C_OUTCOME] = _HIT
    if a[slot + t.prefetch] != NONE:
        c[C_OUTCOME] = _HIT_PREFETCHED
        c[C_PREFETCH] = a[slot + t.prefetch]
        a[slot + t.prefetch] = NONE
    if op == 1 and a[slot + t.dirty] != WRITTEN:
        a[slot + t.dirty] = WRITTEN
        c[C_FIRST_WRITE] = 1
    eviction.on_hit(a, t, slot)
    return True


@compiled
def _peek(a: Ints, key: int) -> int:
    slot = blocks.find(a, key)
    if slot == NONE or not a[slot + WHERE] & 1:
        return _MISS
    return _HIT if a[slot + tier(0).prefetch] == NONE else _HIT_PREFETCHED


@compiled
def _asks(c: Ints, outcome: int) -> bool:
    trigger = c[C_TRIGGER]
    if trigger == _ON_ACCESS:
        return True
    if trigger == _TAGGED:
        return outcome != _HIT
    return trigger == _ON_MISS and outcome > _HIT_PREFETCHED


@compiled
def advance(
    arena: Ints,
    c: Ints,
    heap: Ints,
    streams: Ints,
    log: Ints,
    window: Ints,
    horizon: int,
) -> int:
    """Issue accesses whose time is before ``horizon`` and return why it stopped; see the control block for where."""
    closed = c[C_CLOSED]
    while True:
        s = 0
        if closed:
            if c[C_HEAP] == 0:
                return IDLE
            s = heap[0]
            at, t = streams[S_NEXT, s], streams[S_TIME, s]
        else:
            at = c[C_POSITION]
            if at == len(window):
                return IDLE if c[C_AT_END] else NEED_DATA
            t = window[at, W_TIME]
        if at == NONE and not c[C_AT_END]:
            return NEED_DATA
        if closed:
            if streams[S_INSIDE, s] and (at == NONE or window[at, W_REQUEST] != streams[S_REQUEST, s]):
                _end_request(c, heap, streams, s)
                continue
            if at == NONE:
                _pop(c, heap, streams)
                continue
        if t >= horizon:
            return HORIZON
        logged = c[C_LOGGED]
        if logged == len(log):
            return LOG_FULL
        if closed:
            if not streams[S_INSIDE, s]:
                streams[S_INSIDE, s] = 1
                streams[S_REQUEST, s] = window[at, W_REQUEST]
                streams[S_END, s] = t
            streams[S_NEXT, s] = window[at, W_FOLLOWER]
        else:
            c[C_POSITION] += 1
        key, size, op = window[at, W_KEY], window[at, W_SIZE], window[at, W_OP]
        c[C_LOGGED] = logged + 1
        log[logged, L_AT] = at
        log[logged, L_TIME] = t
        c[C_TIME], c[C_AT], c[C_STREAM], c[C_KEY], c[C_SIZE], c[C_OP] = (
            t,
            at,
            window[at, W_STREAM],
            key,
            size,
            op,
        )
        c[C_REQUEST] = window[at, W_REQUEST]
        if c[C_FORESEES]:
            belady.passed(arena, key, window[at, W_NEXT_USE])
        if c[C_SYNC]:
            outcome = _peek(arena, key)
            if _asks(c, outcome):
                log[logged, L_OUTCOME] = NOT_CLOSED + outcome
                streams[S_OUTSTANDING, s] += closed
                c[C_OUTCOME] = outcome
                return ASK_FIRST
        if not touch(arena, c, key, op):
            log[logged, L_OUTCOME] = NOT_CLOSED + _MISS
            streams[S_OUTSTANDING, s] += closed
            # The usual case, settled here: no other access of the request follows, so the stream waits.
            following = streams[S_NEXT, s]
            if closed and following != NONE and window[following, W_REQUEST] != streams[S_REQUEST, s]:
                _end_request(c, heap, streams, s)
            return NOT_RESIDENT
        service = service_ns(c, size, op)
        log[logged, L_OUTCOME] = c[C_OUTCOME]
        log[logged, L_SERVICE] = service
        if closed:
            streams[S_END, s] = max(streams[S_END, s], t + service)
        if c[C_OUTCOME] != _HIT or c[C_FIRST_WRITE] or _asks(c, _HIT):
            return HIT
