"""How full the tiers are as windows of accesses begin, worked by hand in both engines."""

from typing import Any

import pytest

from policies.none import NonePolicy
from simulator.accounting import Books
from simulator.config import Closed, Open
from simulator.engine import Engine
from simulator.model.model import Model
from simulator.trace import make_batch
from tests.strategies import FREE, ListSink, ListWorkload, system

OPEN = Open.model_validate({"kind": "open"})
CLOSED = Closed.model_validate({"kind": "closed"})


@pytest.fixture(params=[Engine, Model], ids=["compiled", "model"])
def make(request: pytest.FixtureRequest) -> Any:
    return request.param


def windows(make: Any, arrivals: Any, keys: list[int], first: int = 0, window: int = 2, **batch: Any) -> list[Any]:
    """When each window began, and what two tiers had then."""
    books = Books(ListSink(), window, first_access=first)
    workload = ListWorkload(make_batch(keys, **batch))
    make(system(2, lower=(3,)), arrivals, workload, NonePolicy(), FREE, books).run()
    found = books.windows()
    return list(zip(found["begun_ns"].tolist(), found["used_bytes"].tolist(), strict=True))


def test_a_window_sees_what_was_there_before_its_first_access(make: Any) -> None:
    """A miss takes 110 ns to tier 1, which keeps a copy, and 111 more to tier 0; each access comes alone."""
    found = windows(make, OPEN, [1, 2, 3, 4, 4], time_ns=[0, 500, 1000, 1300, 2000])
    # At 1000 both tiers have 1 and 2, at 2000 tier 0 has two of four and tier 1 three.
    assert found == [(0, [0, 0]), (1000, [2, 2]), (2000, [2, 3])]


def test_a_window_begins_within_a_transfer(make: Any) -> None:
    """At 150, 1 is in tier 1 and on its way to tier 0."""
    assert windows(make, OPEN, [1, 9, 2], time_ns=[0, 140, 150]) == [(0, [0, 0]), (150, [0, 1])]


def test_windows_are_of_what_is_judged(make: Any) -> None:
    found = windows(make, OPEN, [1, 2, 3, 4], first=1, time_ns=[0, 500, 600, 2000])
    assert found == [(500, [1, 1]), (2000, [2, 3])]


def test_streams_overtake_each_other(make: Any) -> None:
    """Stream 1 has the accesses 1 and 3: it is in the second window while stream 0 is in the first, and vice versa."""
    found = windows(make, CLOSED, [1, 2, 3, 2, 4, 2], stream=[0, 1, 0, 1, 0, 1], request=list(range(6)))
    # Both begin at 0; 2 is behind 1 on the link, and served at 223 + 110 - 1 + 2; stream 0 goes on at 223.
    assert found[0] == (0, [0, 0])
    assert found[1][0] == 223
    assert found[1][1] == [1, 2]
    assert len(found) == 3
