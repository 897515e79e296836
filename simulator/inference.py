"""The inference server: what a prediction costs, who waits for it, what is dropped (R13, R14, R16)."""

from simulator.arrays import NONE, Ints
from simulator.compiled import compiled, internal
from simulator.events import INFERENCE_ENDS, after
from simulator.issuing import issue
from simulator.machine import (
    BATCH_SIZE,
    BUSY_PPM,
    IS_FRESH,
    N_BATCHES,
    N_BUSY,
    N_QUEUED,
    N_RUN,
    NOW,
    PPM,
    Q_ASKED,
    Q_BATCH,
    Q_CHARGED,
    Q_DEVICE,
    Q_ENDED,
    Q_HOST,
    Q_NEXT,
    Q_RUN_END,
    Q_STARTED,
    Q_STATUS,
    Q_WAITER,
    QUEUE,
    RUN_BASE,
    RUN_SHOWN,
    SERVERS,
    SLOW_PPM,
    STALE_AFTER,
    X_INFERENCE,
    X_ISSUED,
)
from simulator.questions import ANSWERED, STALE, answered
from simulator.records.arena import Arena
from simulator.serving import look_up


@internal
def can_start(m: Ints) -> bool:
    """Whether a server is free for a question that waits."""
    return bool(m[N_QUEUED] > 0 and m[N_BUSY] < m[SERVERS])


@compiled
def batch_size(m: Ints) -> int:
    """How many questions are answered together next."""
    return int(min(m[BATCH_SIZE], m[N_QUEUED]))


@compiled
def begin(m: Ints, charged_ns: int, host_ns: int, device_ns: int) -> int:
    """The next batch, whose answers are known, is charged its time; its first question if that is none, else NONE."""
    first = last = m[QUEUE]
    n = batch_size(m)
    q = first
    for _ in range(n):
        m[q + Q_BATCH], m[q + Q_STARTED] = m[N_BATCHES], m[NOW]
        m[q + Q_CHARGED], m[q + Q_HOST], m[q + Q_DEVICE] = charged_ns, host_ns, device_ns
        last = q
        q = m[q + Q_NEXT]
    m[last + Q_NEXT] = NONE
    m[QUEUE] = q
    m[IS_FRESH] = 0
    m[N_QUEUED] -= n
    m[N_BATCHES] += 1
    m[RUN_SHOWN] = m[last + Q_RUN_END]
    if m[RUN_SHOWN] == m[RUN_BASE] + m[N_RUN]:
        m[RUN_BASE], m[N_RUN] = m[RUN_SHOWN], 0
    if charged_ns == 0:
        # No time passes, so no event either: the answer is there before anything else can happen.
        return int(first)
    m[N_BUSY] += 1
    m[SLOW_PPM] = m[BUSY_PPM]
    after(m, charged_ns, INFERENCE_ENDS, first)
    return NONE


@internal
def end(m: Ints) -> None:
    """A server is free again."""
    m[N_BUSY] -= 1
    if m[N_BUSY] == 0:
        m[SLOW_PPM] = PPM


@internal
def deliver(a: Arena, m: Ints, first: int) -> None:
    """The answers to a batch are there: who waited goes on, and what they want is issued."""
    q = first
    while q != NONE:
        behind = m[q + Q_NEXT]
        m[q + Q_ENDED] = m[NOW]
        is_stale = m[STALE_AFTER] >= 0 and m[NOW] - m[q + Q_ASKED] > m[STALE_AFTER]
        m[q + Q_STATUS] = STALE if is_stale else ANSWERED
        x = m[q + Q_WAITER]
        if x != NONE:
            m[x + X_INFERENCE] = m[NOW] - m[x + X_ISSUED]
            look_up(a, m, x)
        issue(a, m, q)
        answered(m, q)
        q = behind
