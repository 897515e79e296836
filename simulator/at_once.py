"""What is answered within the access that asks: a question to a free table (R13, R15), or a part of one (R44).

Of a question to a table that costs nothing, put while none waits, what happens and in which order is what
``questions``, ``inference`` and ``issuing`` would do one after another: no time passes between them, and nothing else
can happen. Nothing of the question is kept but its guess.
"""

from simulator import keyset, room
from simulator.answers import WRITTEN, call_learn, call_want, distinct
from simulator.compiled import floats_at, internal, ints_at
from simulator.issuing import propose
from simulator.questions import count_answered, expect, shown_as, tell
from simulator.records.arena import Arena
from simulator.records.run import Run
from simulator.residency import blocks
from simulator.trace import WRITE


@internal
def is_answered(
    run: Run, arena: Arena, shadow: Arena, access: int, key: int, stream: int, size: int, op: int,
    outcome: int,
) -> bool:  # fmt: skip
    """Whether the question of the access just issued was answered, and what it wants issued; else it is to be put."""
    settings, server, table = run.settings, run.server, run.settings.table
    if not settings.answers_at_once or server.queue.n != 0 or run.rows.shown.n != 0:
        return False
    if not room.spares(run, arena, shadow, settings.most_wanted):
        return False
    state, keys, confidences = ints_at(table.state), ints_at(table.keys), floats_at(table.confidences)
    bits, experts = ints_at(table.confidences), ints_at(table.experts)
    tell(run, table)
    call_learn(table.learn, state, key, stream, shown_as(run, op, outcome))
    n = distinct(key, keys, confidences, call_want(table.want, state, key, stream, keys, confidences))
    number = run.n_questions
    count_answered(run, access)
    if n > 0:
        for i in range(n):
            blocks.find_soon(arena, keys[i])
            keyset.find_soon(run, run.polluted, keys[i])
        expect(run, access, stream, keys[0])
        for i in range(n):
            propose(run, arena, number, access, size, keys[i], bits[i], experts[i])
    return True


@internal
def propose_a_part(
    run: Run, arena: Arena, access: int, key: int, stream: int, size: int, op: int, outcome: int
) -> None:  # fmt: skip
    """Before an access puts its question: issue what the part that answers at once wants, under the question's number.

    There must be room for as many blocks as it may want (``room.for_access``).
    """
    settings, server, table = run.settings, run.server, run.settings.at_once
    state, keys, confidences = ints_at(table.state), ints_at(table.keys), floats_at(table.confidences)
    bits, experts = ints_at(table.confidences), ints_at(table.experts)
    tell(run, table)
    shown = outcome | WRITTEN if settings.shows_writes_at_once != 0 and op == WRITE else outcome
    call_learn(table.learn, state, key, stream, shown)
    n = distinct(key, keys, confidences, call_want(table.want, state, key, stream, keys, confidences))
    for i in range(n):
        blocks.find_soon(arena, keys[i])
        keyset.find_soon(run, run.polluted, keys[i])
    server.n_at_once, server.n_sent_at_once = n, 0
    for i in range(n):
        server.n_sent_at_once += propose(run, arena, run.n_questions, access, size, keys[i], bits[i], experts[i])
