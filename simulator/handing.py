"""What is handed over between a run and a policy in Python: accesses to see, and answers, through arrays."""

from simulator.arrays import At
from simulator.compiled import compiled, ints_at
from simulator.events import ANSWER_IS_THERE
from simulator.inference import batch_size, begin, next_batch
from simulator.questions import put_answer
from simulator.records.moving import CHUNK_KEYS, Question, question_at
from simulator.records.record import Record, from_place, nth
from simulator.records.rows import START, nth_shown_row
from simulator.records.run import run_at


class Asked(Record):
    """A question that is put: its place, the end of its accesses among those handed over, the access that asks.

    ``is_recalled``: it has no accesses, as it was put before others that are answered already.

    The answer comes back with how many blocks it wants and whether it has a best guess.
    """

    question: At[Question]
    end: int
    access: int
    key: int
    stream: int
    is_recalled: int
    n_wanted: int
    has_guess: int


_nth_asked = nth(Asked)


@compiled
def hand_over(machine: int, asked: int, keys: int, streams: int, outcomes: int, accesses: int, room: int) -> int:
    """Write the questions of the next batch (Asked) and the accesses that they show, each in order; how many questions.

    All but ``room`` are addresses, ``machine`` that of the run's memory. If there are more accesses than ``room``, none
    is written, and what is returned is less than 0: how many there are.
    """
    run = run_at(machine)
    server, shown = run.server, run.rows.shown
    of_question, to_keys, to_streams, to_outcomes = ints_at(asked), ints_at(keys), ints_at(streams), ints_at(outcomes)
    to_accesses = ints_at(accesses)
    n_questions, place, end = batch_size(run), next_batch(run), server.shown
    for i in range(n_questions):
        q, row = question_at(run, place), _nth_asked(of_question, START, i)
        row.is_recalled = q.shown_end <= end
        end = max(end, q.shown_end)
        row.question, row.end, row.access, row.key, row.stream = place, end - server.shown, q.access, q.key, q.stream
        place = q.queue.next
    n, first = end - server.shown, server.shown - server.first_kept
    if n > room:
        return -n
    for i in range(n):
        access = nth_shown_row(run, shown.rows, first + i)
        to_keys[i], to_streams[i], to_outcomes[i] = access.key, access.stream, access.outcome
        to_accesses[i] = access.access
    return n_questions


@compiled
def hand_back(
    machine: int, n: int, asked: int, keys: int, confidences: int, experts: int, charged_ns: int, host_ns: int,
    device_ns: int, cpu_ns: int,
) -> int:  # fmt: skip
    """Take the answers to ``n`` questions, and begin what they are charged; 0, or how many chunks must be free first.

    ``keys``, ``confidences`` and ``experts`` have for each question the blocks wanted, and behind them the best guess.
    """
    run = run_at(machine)
    of_question, wanted, bits, named_by = ints_at(asked), ints_at(keys), ints_at(confidences), ints_at(experts)
    n_chunks = 0
    for i in range(n):
        n_chunks += (_nth_asked(of_question, START, i).n_wanted + CHUNK_KEYS - 1) // CHUNK_KEYS
    if n_chunks > run.pools.chunks.n_free:
        return n_chunks
    at = 0
    for i in range(n):
        row = _nth_asked(of_question, START, i)
        behind = at + row.n_wanted
        put_answer(
            run, question_at(run, row.question), row.has_guess != 0, wanted[behind], bits[behind],
            from_place(wanted, at), from_place(bits, at), from_place(named_by, at), row.n_wanted,
        )  # fmt: skip
        at = behind + 1
    run.fired_kind, run.fired = ANSWER_IS_THERE, begin(run, charged_ns, host_ns, device_ns, cpu_ns)
    return 0
