"""What becomes of questions where there are more than the server can answer, by hand, in both engines (rule R14).

An inference takes 100 ns, as long as ten accesses that come every 10 ns, unless a test says otherwise.
"""

from collections.abc import Sequence
from typing import Any

import pytest

from simulator.charge import fixed
from simulator.config import Open
from simulator.engine import Engine
from simulator.model.model import Model
from simulator.policy import AccessRun, Ahead, Answer, Decision, Status, Told, Trigger
from tests.strategies import ListSink, books, system, workload

ANSWERED, STALE, QUEUE_FULL, SUPERSEDED, PENDING = Status


class Noting:
    """Guesses the next key, and keeps what it was shown and what about it was asked."""

    trigger = Trigger.ACCESS
    footprint_bytes = 0
    ahead = Ahead()
    hears = False

    def __init__(self, *, recalls: bool = True) -> None:
        self.recalls = recalls
        self.asked: list[tuple[list[int], tuple[int, int]]] = []
        self.sizes: list[int] = []

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        self.sizes.append(len(runs))
        self.asked += [(run.key.tolist(), run.asking) for run in runs]
        return Decision([Answer([run.asking[0] + 1], [1.0], run.asking[0] + 1, 1.0) for run in runs])

    def told(self, told: Told) -> None:
        raise AssertionError("it does not hear")


@pytest.fixture(params=[Engine, Model], ids=["compiled", "model"])
def make(request: pytest.FixtureRequest) -> Any:
    return request.param


def run(make: Any, keys: list[int], policy: Any, stream: list[int] | None = None, **inference: Any) -> dict[str, Any]:
    """The rows of questions, by number; accesses come every 10 ns, and the last one long after all answers."""
    times = [10 * i for i in range(len(keys))]
    times[-1] = 10_000
    stream = stream or [0] * len(keys)
    sink = ListSink()
    machine = system(50, inference=inference)
    arrivals = Open.model_validate({"kind": "open"})
    trace = workload(keys, stream=stream, time_ns=times)
    make(machine, arrivals, trace, policy, fixed(100), books(sink)).run()
    rows = sink.columns("inferences")
    order = rows["inference"].argsort()
    return {name: column[order] for name, column in rows.items()}


def test_the_newest_question_of_a_stream_supersedes_the_one_that_waits(make: Any) -> None:
    # That of 0 is answered at 100. Those of 10 to 90 supersede each other: the last is taken up at 100, before the
    # access of that instant is issued, and has all that came shown. It is answered at 200, that of 100 at 300.
    policy = Noting()
    rows = run(make, [*range(0, 1200, 100)], policy)
    assert rows["status"].tolist() == [ANSWERED, *[SUPERSEDED] * 8, ANSWERED, ANSWERED, ANSWERED]
    assert rows["ended_ns"].tolist() == [100, *[-1] * 8, 200, 300, 10_100]
    assert rows["started_ns"].tolist() == [0, *[-1] * 8, 100, 200, 10_000]
    assert policy.asked == [
        ([0], (0, 0)), ([100, 200, 300, 400, 500, 600, 700, 800, 900], (900, 0)), ([1000], (1000, 0)),
        ([1100], (1100, 0)),
    ]  # fmt: skip
    # Who is superseded never guessed; nothing that it would have been judged by is kept for it.
    assert [rows["came_true"][i] for i in range(1, 9)] == [None] * 8


def test_fifo_answers_every_question_that_has_a_place(make: Any) -> None:
    policy = Noting()
    rows = run(make, [*range(0, 600, 100)], policy, queue="fifo", queue_limit=2)
    # Those of 10 and 20 wait, three find the queue full, or the last one nobody.
    assert rows["status"].tolist() == [ANSWERED, ANSWERED, ANSWERED, QUEUE_FULL, QUEUE_FULL, ANSWERED]
    assert rows["ended_ns"].tolist() == [100, 200, 300, -1, -1, 10_100]


def test_of_several_streams_the_newest_is_answered_first(make: Any) -> None:
    # From 0 on stream 0's first is answered. Streams 1, 2 and 3 ask at 10, 20 and 30: 3 is answered at 200, and has
    # seen all; 2 and then 1 are asked about what was shown before.
    policy = Noting()
    rows = run(make, [0, 100, 200, 300, 400], policy, [0, 1, 2, 3, 4])
    assert rows["status"].tolist() == [ANSWERED] * 5
    assert rows["ended_ns"].tolist() == [100, 400, 300, 200, 10_100]
    assert policy.asked[1:4] == [([100, 200, 300], (300, 3)), ([], (200, 2)), ([], (100, 1))]


def test_a_batch_takes_the_newest_and_shows_each_its_own(make: Any) -> None:
    policy = Noting()
    rows = run(make, [0, 100, 200, 300, 400], policy, [0, 1, 2, 3, 4], batch_size=2)
    assert rows["ended_ns"].tolist() == [100, 300, 200, 200, 10_100]
    # Within a batch the oldest comes first: its run ends with its access.
    assert policy.asked[1:4] == [([100, 200], (200, 2)), ([300], (300, 3)), ([], (100, 1))]
    assert policy.sizes == [1, 2, 1, 1]


def test_who_recalls_nothing_is_asked_oldest_first(make: Any) -> None:
    policy = Noting(recalls=False)
    rows = run(make, [0, 100, 200, 101, 400], policy, [0, 1, 2, 1, 4])
    # Stream 1 has asked again: its place is behind stream 2.
    assert rows["status"].tolist() == [ANSWERED, SUPERSEDED, ANSWERED, ANSWERED, ANSWERED]
    assert rows["ended_ns"].tolist() == [100, -1, 200, 300, 10_100]
    assert policy.asked[1:3] == [([100, 200], (200, 2)), ([101], (101, 1))]


def test_a_question_that_takes_its_streams_place_needs_no_other(make: Any) -> None:
    # One may wait: stream 1 has the place, stream 2 finds none, stream 1 keeps it with its newer question.
    rows = run(make, [0, 100, 200, 101, 400], Noting(), [0, 1, 2, 1, 4], queue_limit=1)
    assert rows["status"].tolist() == [ANSWERED, SUPERSEDED, QUEUE_FULL, ANSWERED, ANSWERED]


def test_no_place_at_all(make: Any) -> None:
    rows = run(make, [0, 100, 200, 300], Noting(), queue_limit=0)
    assert rows["status"].tolist() == [ANSWERED, QUEUE_FULL, QUEUE_FULL, ANSWERED]


def test_one_that_somebody_waits_for_is_not_superseded(make: Any) -> None:
    policy = Noting()
    rows = run(make, [0, 100, 200, 300], policy, mode="sync")
    assert rows["status"].tolist() == [ANSWERED] * 4
    assert rows["ended_ns"].tolist() == [100, 200, 300, 10_100]


def test_stale_counts_from_the_question_that_is_answered(make: Any) -> None:
    # That of 90 is answered at 200, 110 ns old, that of 100 at 300; with fifo that of 10 is 190 ns old.
    newest = run(make, [*range(0, 1200, 100)], Noting(), stale_after="150 ns")
    assert newest["status"].tolist() == [ANSWERED, *[SUPERSEDED] * 8, ANSWERED, STALE, ANSWERED]
    oldest = run(make, [*range(0, 1200, 100)], Noting(), stale_after="150 ns", queue="fifo")
    assert oldest["status"].tolist() == [ANSWERED, *[STALE] * 10, ANSWERED]


def test_a_guess_is_about_what_followed_the_access_that_asked(make: Any) -> None:
    # The one answered at 200 was about the access to key 5, which was followed by key 6 at 10,000: it came true.
    # That is a hit, and the end: the question after it is not answered any more.
    rows = run(make, [0, 9, 5, 6], Noting())
    assert rows["status"].tolist() == [ANSWERED, SUPERSEDED, ANSWERED, PENDING]
    assert rows["came_true"].tolist() == [False, None, True, None]
