"""Questions to the policy: what it is shown, which access each is about, and the record of every one (R12, R16)."""

from simulator.arrays import NONE, Ints
from simulator.compiled import compiled, internal
from simulator.distribution import D_LEFT, count
from simulator.machine import (
    AHEAD,
    AHEAD_OF_STREAM,
    ASKED,
    ASKED_LAST,
    ASKS_PYTHON,
    CHARGED,
    CHUNK_KEYS,
    CHUNKS,
    HOST,
    K_FIRST,
    K_NEXT,
    KEEPS_RECORDS,
    N_ASKED,
    N_BUSY,
    N_CAME_TRUE,
    N_PREDICTED,
    N_QUEUED,
    N_RECORDS,
    N_RUN,
    N_STATUS,
    N_STREAMS,
    NEED_RECORDS,
    NOW,
    Q_ACCESS,
    Q_AFTER,
    Q_ASKED,
    Q_BATCH,
    Q_BEFORE,
    Q_CHARGED,
    Q_CONFIDENCE,
    Q_DEVICE,
    Q_ENDED,
    Q_GUESS,
    Q_HAS_GUESS,
    Q_HAS_NEXT,
    Q_HOST,
    Q_IS_WAITING,
    Q_ISSUED,
    Q_LATER,
    Q_N_KEYS,
    Q_NEXT,
    Q_NEXT_KEY,
    Q_ROW,
    Q_RUN_END,
    Q_SIZE,
    Q_STARTED,
    Q_STATUS,
    Q_STREAM,
    Q_TARGET,
    Q_WAITER,
    Q_WANTED,
    QUESTIONS,
    QUEUE,
    QUEUE_LAST,
    QUEUE_LIMIT,
    RECORDS,
    RECORDS_CAPACITY,
    RUN,
    RUN_BASE,
    RUN_COLUMNS,
    S_SEEN,
    S_WAITING,
    S_WAITING_LAST,
    SERVERS,
    TRIGGER,
    give_back,
    take,
)
from simulator.policy import Outcome, Trigger
from simulator.streams import stream_at

# What became of a question, in the order of ``accounting.Status``.
ANSWERED, STALE, QUEUE_FULL, PENDING = range(4)
RECORD_COLUMNS = 20
_HIT, _HIT_PREFETCHED = int(Outcome.HIT), int(Outcome.HIT_PREFETCHED)
NEVER, ON_MISS, TAGGED, ON_ACCESS = (int(trigger) for trigger in Trigger)


@internal
def asks(m: Ints, outcome: int) -> bool:
    """Whether an access of this outcome is one of the policy's trigger."""
    trigger = m[TRIGGER]
    if trigger == ON_ACCESS:
        return True
    if trigger == TAGGED:
        return outcome != _HIT
    return trigger == ON_MISS and outcome > _HIT_PREFETCHED


@internal
def remember(m: Ints, key: int, stream: int, outcome: int) -> None:
    """An access that the policy will be shown. A table sees those of its trigger alone."""
    if m[ASKS_PYTHON] or asks(m, outcome):
        row = m[RUN] + m[N_RUN] * RUN_COLUMNS
        m[row], m[row + 1], m[row + 2] = key, stream, outcome
        m[N_RUN] += 1


@internal
def ask(m: Ints, access: int, stream: int, size: int, waiter: int) -> bool:
    """Put a question about the access just remembered; False if the queue is full and it is dropped."""
    q = take(m, QUESTIONS)
    m[q + Q_ROW], m[q + Q_ACCESS], m[q + Q_STREAM], m[q + Q_SIZE] = m[N_ASKED], access, stream, size
    m[q + Q_ASKED], m[q + Q_STATUS], m[q + Q_WAITER] = m[NOW], PENDING, waiter
    m[q + Q_STARTED] = m[q + Q_ENDED] = m[q + Q_BATCH] = m[q + Q_WANTED] = NONE
    m[q + Q_CHARGED] = m[q + Q_HOST] = m[q + Q_DEVICE] = m[q + Q_N_KEYS] = m[q + Q_ISSUED] = 0
    m[q + Q_HAS_GUESS] = m[q + Q_HAS_NEXT] = m[q + Q_IS_WAITING] = 0
    m[N_ASKED] += 1
    m[q + Q_BEFORE], m[q + Q_AFTER] = m[ASKED_LAST], NONE
    if m[ASKED_LAST] == NONE:
        m[ASKED] = q
    else:
        m[m[ASKED_LAST] + Q_AFTER] = q
    m[ASKED_LAST] = q
    if m[N_BUSY] == m[SERVERS] and m[N_QUEUED] >= m[QUEUE_LIMIT]:
        m[q + Q_STATUS] = QUEUE_FULL
        record(m, q)
        return False
    m[q + Q_RUN_END] = m[RUN_BASE] + m[N_RUN]
    row = stream_at(m, stream if m[AHEAD_OF_STREAM] else m[N_STREAMS])
    m[q + Q_IS_WAITING] = 1
    m[q + Q_TARGET] = m[row + S_SEEN] + m[AHEAD]
    m[q + Q_LATER] = NONE
    if m[row + S_WAITING] == NONE:
        m[row + S_WAITING] = q
    else:
        m[m[row + S_WAITING_LAST] + Q_LATER] = q
    m[row + S_WAITING_LAST] = q
    m[q + Q_NEXT] = NONE
    if m[QUEUE] == NONE:
        m[QUEUE] = q
    else:
        m[m[QUEUE_LAST] + Q_NEXT] = q
    m[QUEUE_LAST] = q
    m[N_QUEUED] += 1
    return True


@internal
def seen(m: Ints, stream: int, key: int) -> None:
    """An access is issued: the question that is about it, if there is one, learns what came."""
    row = stream_at(m, stream if m[AHEAD_OF_STREAM] else m[N_STREAMS])
    m[row + S_SEEN] += 1
    q = m[row + S_WAITING]
    # All look equally far ahead, so the first to be asked is the first to know.
    if q != NONE and m[q + Q_TARGET] == m[row + S_SEEN]:
        m[row + S_WAITING] = m[q + Q_LATER]
        m[q + Q_HAS_NEXT], m[q + Q_NEXT_KEY], m[q + Q_IS_WAITING] = 1, key, 0
        if m[q + Q_STATUS] != PENDING:
            record(m, q)


@internal
def answered(m: Ints, q: int) -> None:
    """A question is answered, and what it wanted issued."""
    if not m[q + Q_IS_WAITING]:
        record(m, q)


@internal
def record(m: Ints, q: int) -> None:
    """All is known of a question: it is counted, and a finished row if one is kept."""
    # An answer that did not come before the end is in no sum and no ratio.
    is_over = m[q + Q_STATUS] != PENDING
    judged = is_over and m[q + Q_HAS_GUESS] != 0 and m[q + Q_HAS_NEXT] != 0
    came_true = judged and m[q + Q_GUESS] == m[q + Q_NEXT_KEY]
    m[N_STATUS + m[q + Q_STATUS]] += 1
    m[N_PREDICTED] += judged
    m[N_CAME_TRUE] += came_true
    if is_over and m[q + Q_BATCH] >= 0:
        count(m, CHARGED, m[q + Q_CHARGED])
        count(m, HOST, m[q + Q_HOST])
    if m[KEEPS_RECORDS]:
        _keep(m, q, judged, came_true)
    before, behind = m[q + Q_BEFORE], m[q + Q_AFTER]
    if before == NONE:
        m[ASKED] = behind
    else:
        m[before + Q_AFTER] = behind
    if behind == NONE:
        m[ASKED_LAST] = before
    else:
        m[behind + Q_BEFORE] = before
    give_back(m, QUESTIONS, q)


@internal
def _keep(m: Ints, q: int, judged: bool, came_true: bool) -> None:
    row = m[RECORDS] + m[N_RECORDS] * RECORD_COLUMNS
    m[N_RECORDS] += 1
    m[row], m[row + 1], m[row + 2], m[row + 3] = m[q + Q_ROW], m[q + Q_BATCH], m[q + Q_ACCESS], m[q + Q_STREAM]
    m[row + 4], m[row + 5], m[row + 6] = m[q + Q_STATUS], m[q + Q_ASKED], m[q + Q_STARTED]
    m[row + 7], m[row + 8], m[row + 9] = m[q + Q_ENDED], m[q + Q_CHARGED], m[q + Q_HOST]
    m[row + 10], m[row + 11], m[row + 12] = m[q + Q_DEVICE], m[q + Q_HAS_GUESS], m[q + Q_GUESS]
    m[row + 13], m[row + 14], m[row + 15] = m[q + Q_CONFIDENCE], m[q + Q_HAS_NEXT], m[q + Q_NEXT_KEY]
    m[row + 16], m[row + 18], m[row + 19] = came_true, m[q + Q_ISSUED], judged
    m[row + 17] = m[q + Q_N_KEYS] if m[q + Q_STATUS] != PENDING else 0


@compiled
def record_left(m: Ints) -> bool:
    """Record those left at the end of the run, answered or not; False if rows must be read first."""
    while m[ASKED] != NONE:
        if m[N_RECORDS] == m[RECORDS_CAPACITY] or m[CHARGED + D_LEFT] == 0 or m[HOST + D_LEFT] == 0:
            m[NEED_RECORDS] = 1
            return False
        record(m, m[ASKED])
    return True


@compiled
def put_answer(
    m: Ints, q: int, has_guess: bool, guess: int, confidence: int, keys: Ints, confidences: Ints, n: int
) -> None:
    """The answer to a question: its best guess, and ``n`` blocks with the bits of their confidences."""
    m[q + Q_HAS_GUESS], m[q + Q_GUESS], m[q + Q_CONFIDENCE] = has_guess, guess, confidence
    m[q + Q_N_KEYS] = n
    last = NONE
    for i in range(n):
        if i % CHUNK_KEYS == 0:
            chunk = take(m, CHUNKS)
            m[chunk + K_NEXT] = NONE
            if last == NONE:
                m[q + Q_WANTED] = chunk
            else:
                m[last + K_NEXT] = chunk
            last = chunk
        entry = last + K_FIRST + 2 * (i % CHUNK_KEYS)
        m[entry], m[entry + 1] = keys[i], confidences[i]
