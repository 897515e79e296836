"""``next_turn``: which sessions are due, and which of their blocks are wanted when; worked by hand."""

from typing import Any

import numpy as np
import pytest

from experiments.config import Arm
from policies.given import Given
from policies.none import NonePolicy
from policies.registry import POLICIES
from simulator.config import Open
from simulator.engine import Engine
from simulator.model.model import Model
from simulator.policy import AccessRun, Fate, Outcome
from simulator.trace import READ, WRITE, make_batch
from tests.strategies import FREE, ListWorkload, books, system


def policy(**settings: Any) -> Any:
    return POLICIES.validate({"kind": "next_turn", **settings}).build(Given(lambda p: [], 0)).policy


def ask(of: Any, ns: int, session: int, request: int, key: int, op: int = READ) -> tuple[list[int], list[float]]:
    columns = {
        "op": np.array([op], np.uint8), "request": np.array([request], np.uint64), "time_ns": np.array([ns]),
        "session": np.array([session], np.uint64),
    }  # fmt: skip
    run = AccessRun(np.array([key], np.uint64), np.zeros(1, np.uint32), np.array([4], np.uint8), columns)
    answer = of.decide([run]).answers[0]
    return list(answer.keys), list(answer.confidences)


def keys_of(of: Any, table: list[tuple[Any, ...]]) -> list[list[int]]:
    return [ask(of, *row)[0] for row in table]


# Session 1 has a turn of the blocks 1 to 3 and writes 4; session 2 was there at 5, once.
BEGINNING = [(0, 1, 0, 1), (0, 1, 0, 2), (0, 1, 0, 3), (5, 2, 1, 7), (20, 1, 2, 4, WRITE)]


def test_a_session_is_due_when_it_has_paused_as_long_as_others_did() -> None:
    it = policy(quantile=0.5, lead="10 ns", degree=2)
    # No pause is known yet.
    assert keys_of(it, BEGINNING) == [[], [], [], [], []]
    # The first one: 80 ns, from the block that was written. Less the lead 70 are waited: session 2 has paused for 95.
    assert ask(it, 100, 1, 3, 1) == ([7], [pytest.approx(1 / 3)])
    assert keys_of(it, [(100, 1, 3, key) for key in (2, 3, 4, 5)]) == [[], [], [], []]
    assert ask(it, 160, 3, 4, 9) == ([], [])
    # Session 3 has paused for 10: half of the pauses are no longer than that, and 80 is the next one. Session 1 has
    # paused for 70 now. Two blocks at a time; of two sessions that were due none is back yet.
    assert ask(it, 170, 3, 5, 9) == ([1, 2], [pytest.approx(1 / 4)] * 2)
    assert keys_of(it, [(170, 3, 5, 8), (170, 3, 5, 6), (170, 3, 5, 10)]) == [[3, 4], [5], []]
    # It comes back; session 3 is due 61 later (71 is the middle of 10, 71 and 80), when one of three was right.
    assert keys_of(it, [(171, 1, 6, 1), (230, 4, 7, 50)]) == [[], []]
    assert ask(it, 231, 4, 7, 51) == ([9, 8], [pytest.approx(2 / 5)] * 2)


def test_who_is_back_is_asked_for_no_more() -> None:
    it = policy(quantile=0.5, lead="10 ns", degree=2)
    keys_of(it, BEGINNING)
    keys_of(it, [(100, 1, 3, key) for key in (1, 2, 3, 4, 5)])
    # The third block and those behind it would be next, but its turn has begun.
    assert keys_of(it, [(175, 3, 4, 9), (176, 1, 5, 1), (176, 1, 5, 2)]) == [[1, 2], [], []]


def test_who_still_writes_is_asked_for_no_more() -> None:
    it = policy(quantile=0.5, lead="10 ns", degree=2)
    keys_of(it, BEGINNING)
    keys_of(it, [(100, 1, 3, key) for key in (1, 2, 3, 4, 5)])
    # Three of its blocks are left when a block of its answer comes: it was not pausing.
    assert keys_of(it, [(175, 3, 4, 9), (176, 1, 5, 6, WRITE), (177, 3, 4, 8)]) == [[1, 2], [], []]


def test_a_turn_counts_once_and_its_answer_belongs_to_it() -> None:
    it = policy(quantile=0.5, lead="10 ns")
    keys_of(it, BEGINNING)
    # Sessions 2 and 1 are due, 1 comes back; its next turn was not due, and teaches a pause of 1 beside 76 and 80.
    assert keys_of(it, [(100, 1, 3, 1), (175, 3, 4, 9), (176, 1, 5, 1), (177, 1, 6, 1)]) == [[7], [1], [], []]
    assert ask(it, 180, 1, 7, 11, WRITE) == ([], [])
    # 66 are waited. Of four that were due by now one has come back.
    assert ask(it, 250, 4, 8, 50) == ([9, 1, 11], [pytest.approx(1 / 3)] * 3)


def test_a_write_is_no_turn() -> None:
    it = policy(quantile=0.5, lead="0 ns")
    keys_of(it, [*BEGINNING, (500, 1, 9, 5, WRITE), (501, 2, 10, 8, WRITE)])
    assert ask(it, 502, 3, 11, 9)[0] == []


def test_sessions_that_came_longest_ago_are_forgotten() -> None:
    it = policy(quantile=0.5, lead="10 ns", sessions=1)
    # Of session 1 nothing is left when it comes again: no pause.
    assert keys_of(it, [*BEGINNING, (100, 1, 3, 1), (900, 4, 4, 9)]) == [[]] * 7


def test_the_oldest_pauses_are_forgotten() -> None:
    it = policy(quantile=0.01, lead="0 ns", pauses=2)
    # Session 1 pauses for 5, 100 and 100: the shortest of the last two is 100, and session 2 is not due after 50.
    keys_of(it, [(0, 1, 0, 1), (5, 1, 1, 1), (105, 1, 2, 1), (205, 1, 3, 1), (205, 2, 4, 2)])
    assert ask(it, 255, 3, 5, 3)[0] == []
    assert ask(it, 305, 3, 5, 4)[0] == [1, 2]


def test_a_question_takes_time() -> None:
    """Plain Python, and charged as measured where nothing is said."""
    arm = Arm.model_validate({"name": "a", "policy": "next_turn"})
    assert arm.charged.kind == "measured"
    columns = {name: np.zeros(1, np.int64) for name in ("op", "request", "time_ns", "session")}
    run = AccessRun(np.zeros(1, np.uint64), np.zeros(1, np.uint32), np.full(1, 4, np.uint8), columns)
    assert policy().decide([run]).host_ns > 500


@pytest.mark.parametrize("make", [Engine, Model])
def test_turns_that_come_regularly_find_their_blocks(make: Any) -> None:
    """Five sessions of four blocks each take turns, a turn a us; room for nine blocks, so that LRU has none of them."""
    turns, sessions = 20, 5
    keys = [10 * session + i for _ in range(turns) for session in range(sessions) for i in range(4)]
    request = np.repeat(np.arange(turns * sessions), 4)
    batch = make_batch(
        keys, time_ns=1000 * request, request=request, features={"session": (request % sessions).astype(np.uint64)}
    )

    def run(chosen: Any) -> Any:
        ledger = books()
        machine = system(9, channels=4)
        make(machine, Open.model_validate({"kind": "open"}), ListWorkload(batch), chosen, FREE, ledger).run()
        return ledger

    # Sent for a turn beforehand, 1 us: a hop takes 110 ns.
    found, none = run(policy(quantile=0.5, lead="1 us")), run(NonePolicy())
    assert none.n_outcomes[Outcome.MISS] == len(keys)
    # Those of the first two rounds: nothing is known of the first turns, and of pauses until the first returns.
    assert found.n_outcomes[Outcome.HIT_PREFETCHED] >= (turns - 2) * sessions * 4
    assert found.n_fates[Fate.EVICTED_UNUSED] <= 4
