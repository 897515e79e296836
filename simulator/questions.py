"""Questions to the policy: what it is shown, which access each is about, and the record of every one (R12, R16)."""

from simulator.answers import HEARD, POLLUTED, WRITTEN, call_learn
from simulator.arrays import NONE, At, Ints
from simulator.compiled import compiled, internal, ints_at
from simulator.distribution import count
from simulator.policy import Outcome, Status, Trigger
from simulator.records import lists
from simulator.records.moving import (
    ABOUT,
    AMONG_ASKED,
    CHUNK_KEYS,
    FOR_SERVER,
    Access,
    Question,
    Stream,
    chunk_at,
    give_back,
    question_at,
    take,
)
from simulator.records.rows import nth_inference_row, nth_shown_row, nth_told_row
from simulator.records.run import Run, Table, run_at
from simulator.streams import stream_of
from simulator.tally import is_judged
from simulator.trace import WRITE

ANSWERED, STALE, QUEUE_FULL, SUPERSEDED, PENDING = (int(status) for status in Status)
_HIT, _HIT_PREFETCHED = int(Outcome.HIT), int(Outcome.HIT_PREFETCHED)
NEVER, ON_MISS, TAGGED, ON_ACCESS, ON_ARRIVAL = (int(trigger) for trigger in Trigger)


@internal
def asks(run: Run, outcome: int) -> bool:
    """Whether an access of this outcome is one of the policy's trigger."""
    trigger = run.settings.trigger
    if trigger == ON_ACCESS:
        return True
    if trigger == TAGGED:
        return outcome != _HIT
    return trigger == ON_MISS and outcome > _HIT_PREFETCHED


@internal
def tell(run: Run, table: Table) -> None:
    """Tell a table of what became of earlier proposals, and of misses that prefetching caused."""
    told = run.rows.told
    state = ints_at(table.state)
    for i in range(told.n):
        news = nth_told_row(run, told.rows, i)
        call_learn(table.learn, state, news.key, NONE, HEARD - news.fate)
    told.n = 0
    if run.n_polluted_told != 0:
        call_learn(table.learn, state, run.n_polluted_told, NONE, POLLUTED)
        run.n_polluted_told = 0


@internal
def shown_as(run: Run, op: int, outcome: int) -> int:
    """The outcome of an access as the policy is shown it."""
    return outcome | WRITTEN if run.settings.sees_writes != 0 and op == WRITE else outcome


@internal
def remember(run: Run, access: int, key: int, stream: int, op: int, outcome: int) -> None:
    """An access that the policy will be shown. A table sees those of its trigger alone."""
    if run.settings.asks_python or run.settings.is_learned or asks(run, outcome):
        shown = run.rows.shown
        row = nth_shown_row(run, shown.rows, shown.n)
        shown.n += 1
        row.access, row.key, row.stream, row.outcome = access, key, stream, shown_as(run, op, outcome)


@internal
def subject_of(run: Run, stream: int) -> Stream:
    """Whose accesses a question of this stream is about: its own, or those of all."""
    return stream_of(run, stream if run.settings.is_ahead_of_stream else run.n_streams)


@internal
def _supersede(run: Run, asking: Stream) -> None:
    """The stream has a newer question: the one that waits is not answered any more."""
    if asking.queued == NONE:
        return
    q = question_at(run, asking.queued)
    lists.remove(run, run.server.queue.list, q.at, FOR_SERVER)
    run.server.queue.n -= 1
    if q.is_waiting:
        lists.remove(run, subject_of(run, q.stream).questions, q.at, ABOUT)
        q.is_waiting = 0
    q.status = SUPERSEDED
    record(run, q)


@internal
def ask(run: Run, access: int, key: int, stream: int, size: int, waiter: At[Access]) -> bool:
    """Put a question about the access just remembered; False if the queue is full and it is dropped."""
    q, server, asking = question_at(run, take(run, run.pools.questions)), run.server, stream_of(run, stream)
    if run.settings.supersedes:
        _supersede(run, asking)
    q.number, q.access, q.key, q.stream, q.size = run.n_questions, access, key, stream, size
    q.asked_ns, q.status, q.waiter = run.now, PENDING, waiter
    q.started_ns = q.ended_ns = q.batch = NONE
    q.wanted = NONE
    q.charged_ns = q.host_ns = q.device_ns = q.cpu_ns = q.n_keys = 0
    q.n_at_once, q.n_issued = server.n_at_once, server.n_sent_at_once
    q.has_guess = q.has_next = q.is_waiting = q.is_over = 0
    run.n_questions += 1
    run.books.n_asked += is_judged(run, access)
    lists.append(run, server.asked, q.at, AMONG_ASKED)
    if server.n_busy == run.settings.servers and server.queue.n >= run.settings.queue_limit:
        q.status = QUEUE_FULL
        record(run, q)
        return False
    q.shown_end = server.first_kept + run.rows.shown.n
    subject = subject_of(run, stream)
    q.is_waiting = 1
    q.target = subject.n_issued + run.settings.ahead
    lists.append(run, subject.questions, q.at, ABOUT)
    lists.append(run, server.queue.list, q.at, FOR_SERVER)
    server.queue.n += 1
    asking.queued = q.at
    return True


@internal
def judge(run: Run, stream: int, key: int) -> None:
    """An access is issued: the question that is about it, if there is one, learns what came."""
    subject = subject_of(run, stream)
    subject.n_issued += 1
    # All look equally far ahead, so the first to be asked is the first to know.
    if subject.questions.first != NONE:
        q = question_at(run, subject.questions.first)
        if q.target == subject.n_issued:
            lists.remove(run, subject.questions, q.at, ABOUT)
            if q.is_over:
                _came(run, q, key)
                return
            q.has_next, q.next_key, q.is_waiting = 1, key, 0
            if q.status != PENDING:
                record(run, q)


@internal
def count_answered(run: Run, access: int) -> None:
    """Count a question that was answered at once and cost nothing, but for its guess."""
    run.n_questions += 1
    run.server.n_batches += 1
    if is_judged(run, access):
        books = run.books
        books.n_asked += 1
        books.n_of_status[ANSWERED] += 1
        books.n_at_once += 1


@internal
def expect(run: Run, access: int, stream: int, guess: int) -> None:
    """Keep the guess of a question that was counted already until it is known which access came."""
    subject, q = subject_of(run, stream), question_at(run, take(run, run.pools.questions))
    q.access, q.guess, q.target, q.is_over = access, guess, subject.n_issued + run.settings.ahead, 1
    lists.append(run, subject.questions, q.at, ABOUT)


@internal
def _came(run: Run, q: Question, key: int) -> None:
    """It is known whether the guess of such a question came true."""
    if is_judged(run, q.access):
        run.books.n_predicted += 1
        run.books.n_came_true += q.guess == key
    give_back(run, run.pools.questions, q)


@internal
def finish(run: Run, q: Question) -> None:
    """A question is answered, and what it wanted issued."""
    if not q.is_waiting:
        record(run, q)


@internal
def record(run: Run, q: Question) -> None:
    """All is known of a question: it is counted, and a finished row if one is kept."""
    # An answer that did not come before the end is in no sum and no ratio.
    is_over = q.status != PENDING
    is_known = is_over and q.has_guess != 0 and q.has_next != 0
    came_true = is_known and q.guess == q.next_key
    if is_judged(run, q.access):
        books = run.books
        books.n_of_status[q.status] += 1
        books.n_predicted += is_known
        books.n_came_true += came_true
        if is_over and q.batch >= 0:
            count(run, books.charged, q.charged_ns)
            count(run, books.host, q.host_ns)
    if run.kept.inferences:
        _keep(run, q, is_known, came_true)
    lists.remove(run, run.server.asked, q.at, AMONG_ASKED)
    give_back(run, run.pools.questions, q)


@internal
def _keep(run: Run, q: Question, is_known: bool, came_true: bool) -> None:
    rows = run.rows.inferences
    row = nth_inference_row(run, rows.rows, rows.n)
    rows.n += 1
    row.inference, row.batch, row.access, row.stream, row.status = q.number, q.batch, q.access, q.stream, q.status
    row.asked_ns, row.started_ns, row.ended_ns, row.charged_ns = q.asked_ns, q.started_ns, q.ended_ns, q.charged_ns
    row.host_ns, row.device_ns, row.cpu_ns = q.host_ns, q.device_ns, q.cpu_ns
    row.has_guess, row.predicted_key, row.confidence = q.has_guess, q.guess, q.confidence
    row.has_next, row.next_key, row.came_true, row.is_known = q.has_next, q.next_key, came_true, is_known
    row.n_proposed, row.n_at_once, row.n_issued = q.n_keys if q.status != PENDING else 0, q.n_at_once, q.n_issued


@compiled
def record_left(machine: int) -> bool:
    """Record those left at the end of the run, answered or not; False if rows must be read first.

    ``machine`` is the address of the run's memory.
    """
    run = run_at(machine)
    rows, books = run.rows.inferences, run.books
    while run.server.asked.first != NONE:
        if rows.n == rows.capacity or books.charged.n_left == 0 or books.host.n_left == 0:
            run.needs.inference_rows = 1
            return False
        record(run, question_at(run, run.server.asked.first))
    return True


@internal
def put_answer(
    run: Run, q: Question, has_guess: bool, guess: int, confidence: int, keys: Ints, confidences: Ints, experts: Ints,
    n: int,
) -> None:  # fmt: skip
    """The answer to a question: its best guess, and ``n`` blocks with the bits of their confidences and experts."""
    q.has_guess, q.guess, q.confidence, q.n_keys = has_guess, guess, confidence, n
    last = NONE
    for i in range(n):
        if i % CHUNK_KEYS == 0:
            place = take(run, run.pools.chunks)
            chunk_at(run, place).next = NONE
            if last == NONE:
                q.wanted = place
            else:
                chunk_at(run, last).next = place
            last = place
        chunk = chunk_at(run, last)
        chunk.keys[i % CHUNK_KEYS], chunk.confidences[i % CHUNK_KEYS] = keys[i], confidences[i]
        chunk.experts[i % CHUNK_KEYS] = experts[i]
