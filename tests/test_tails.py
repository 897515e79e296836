"""Durations that spread (rule R47): worked by hand, in both engines, what is drawn, and what is refused."""

from fractions import Fraction
from itertools import pairwise
from math import ceil, floor
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from policies.none import NonePolicy
from simulator.accounting import Books
from simulator.charge import fixed
from simulator.checks import check_durations
from simulator.config import System
from simulator.engine import Engine
from simulator.errors import InputError
from simulator.hops import hops_of, way_ns
from simulator.model.model import Model
from simulator.policy import Fate, Outcome
from simulator.seeds import generator
from simulator.trace import WRITE
from tests.cases import ARRIVALS
from tests.strategies import FREE, ListSink, ScriptedPolicy, system, workload
from tests.test_rules import run

ENGINES = pytest.mark.parametrize("make", [Engine, Model])
TWICE, THRICE, HALF_MORE = ([[0, factor], [1, factor]] for factor in (2, 3, 1.5))
LINES = [[0, 0.5], [0.25, 1], [0.75, 1.000001], [1, 40]]
# Of a read past the kernel's cache, over its mean.
TAIL = [[0, 0.8], [0.25, 0.9], [0.5, 0.95], [0.9, 1.1], [0.99, 1.7], [0.999, 8], [1, 20]]
OPEN = ARRIVALS.validate_python({"kind": "open"})


def spreading(link: dict[str, Any], service: Any = None, capacity: int = 100, **others: Any) -> System:
    """Service takes 1 ns and 1 ns a byte, a call 100 ns and 10 ns a byte, a write-back 1 ns more."""
    raw = system(capacity, **others).model_dump(mode="json")
    raw["tiers"][0] |= {} if service is None else {"spread": service}
    raw["links"] = [{**one, **link} for one in raw["links"]]
    return System.model_validate(raw)


def drawn(n: int, *purpose: str, seed: int = 0) -> list[Fraction]:
    """The shares that are drawn first, as the rule has it."""
    x0, found = int(generator(seed, "spread", *purpose).integers(2**63)), []
    for i in range(n):
        x = (x0 + i * 0x9E3779B97F4A7C15) % 2**64
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ x >> 27) * 0x94D049BB133111EB % 2**64
        found.append(Fraction((x ^ x >> 31) >> 33, 2**31))
    return found


def times(ns: int, share: Fraction) -> int:
    """A duration by the factor that ``LINES`` have at a share."""
    i = max(j for j, (least, _) in enumerate(LINES) if least <= share)
    (least, factor), (most, other) = ((Fraction(x), round(1_000_000 * y)) for x, y in LINES[i : i + 2])
    return ceil(Fraction(ns * (factor + floor((other - factor) * (share - least) / (most - least))), 1_000_000))


def taken(sink: ListSink) -> Any:
    rows = sink.columns("transfers")
    return rows["ended_ns"] - rows["started_ns"]


@ENGINES
def test_calls_and_service_take_their_factor(make: Any) -> None:
    machine = spreading({"spread": TWICE}, THRICE)
    rows, *_ = run(make, machine, workload([1, 1], size_bytes=[3, 3], time_ns=[0, 1000]))
    assert rows == [(Outcome.MISS, 0, 2 * 130 + 3 * 4, 0, 2 * 130), (Outcome.HIT, 1000, 3 * 4, 0, 0)]
    # What is estimated is by no factor.
    assert hops_of(machine)[0].duration(3) == way_ns(hops_of(machine), 1, 1, 3) == 130


@ENGINES
def test_each_call_draws_by_its_number(make: Any) -> None:
    """What is read pushes out what was written: calls both ways are numbered together."""
    trace = workload(range(40), op=[WRITE, 0] * 20, size_bytes=[1, 2] * 20, time_ns=range(0, 400_000, 10_000))
    machine = spreading({"spread": LINES}, LINES, capacity=2)
    rows, _, sink = run(make, machine, trace)
    calls = sink.columns("transfers")
    order = np.lexsort((calls["call"], calls["started_ns"]))
    alone = [101 + 10 * size if is_down else 100 + 10 * size for is_down, size in zip(
        calls["is_down"][order], calls["size_bytes"][order], strict=True
    )]  # fmt: skip
    assert len(alone) == 40
    assert taken(sink)[order].tolist() == [
        times(ns, share) for ns, share in zip(alone, drawn(40, "link", "0"), strict=True)
    ]
    # The time of a write that allocates is service alone, and so is what a read took after its call.
    service = [row[2] - row[3] - row[4] for row in rows]
    assert service == [times(2 + i % 2, share) for i, share in enumerate(drawn(40, "service"))]


@ENGINES
def test_numbers_go_on_where_the_run_begins_in_the_trace(make: Any) -> None:
    """Of 20 accesses the first 6 are left out, and 4 more are not judged; calls are numbered as if there had been 6."""
    ledger = Books(sink := ListSink(), 10, first_access=10)
    trace = workload(range(20), time_ns=range(0, 200_000, 10_000))
    machine = spreading({"spread": LINES}, LINES)
    make(machine, OPEN, trace, NonePolicy(), FREE, ledger, seed=5, first_access=6).run()
    assert [row["service_ns"] for row in sink.accesses()] == [
        times(2, share) for share in drawn(20, "service", seed=5)[10:]
    ]
    assert taken(sink).tolist() == [times(110, share) for share in drawn(20, "link", "0", seed=5)[10:]]


@ENGINES
@pytest.mark.parametrize(
    ("link", "up", "down"),
    [
        ({"spread": TWICE}, 2, 2),
        ({"spread": TWICE, "write_spread": THRICE}, 2, 3),
        ({"write_spread": THRICE}, 1, 3),
    ],
)
def test_down_it_may_spread_otherwise(make: Any, link: dict[str, Any], up: int, down: int) -> None:
    """Key 1 is written, and key 2, which is read, pushes it out."""
    trace = workload([1, 2, 3], op=[WRITE, 0, 0], time_ns=[0, 1000, 5000])
    *_, sink = run(make, spreading(link, capacity=1), trace)
    rows = sink.columns("transfers")
    assert {(bool(is_down), int(ns)) for is_down, ns in zip(rows["is_down"], taken(sink), strict=True)} == {
        (False, 110 * up), (True, 111 * down)
    }  # fmt: skip


@ENGINES
@pytest.mark.parametrize(("enters", "ns"), [("last", 2 * 110 + 37), ("first", 37)])
def test_making_a_block_takes_the_same_each_time(make: Any, enters: str, ns: int) -> None:
    origin = {"kind": "compute", "per_mib": f"{2**20 * 30} ns", "call": "7 ns", "enters": enters}
    rows, *_ = run(make, spreading({"spread": TWICE}, origin=origin), workload([1]))
    assert rows[0][4] == ns


@ENGINES
def test_what_was_measured_spreads_too(make: Any) -> None:
    table = {"sizes": ["1 B", "3 B"], "at_once": [1, 2], "read": [["101 ns", "201 ns"], ["301 ns", "301 ns"]]}
    trace = workload([1, 2], stream=range(2), time_ns=[0, 0])
    rows, *_ = run(make, spreading({"table": table, "spread": HALF_MORE}, channels=2), trace)
    assert [row[4] for row in rows] == [152, 452]


@ENGINES
def test_the_factor_comes_before_an_inference_slows_service(make: Any) -> None:
    # 2 ns by 1.5 is 3; by 1.3, rounded up, 4. In the other order it would be 5.
    machine = spreading({}, HALF_MORE, inference={"gpu_slowdown": 1.3})
    rows, *_ = run(make, machine, workload([1]), ScriptedPolicy([], 1), fixed(1000))
    assert rows[0][2] - rows[0][4] == 4


@ENGINES
def test_what_a_late_prefetch_saved_is_by_no_factor(make: Any) -> None:
    """Key 2 is sent for with key 1, and asked for at 50: it comes at 220, where a fetch then was to take 110."""
    machine = spreading({"spread": TWICE}, channels=2)
    *_, sink = run(make, machine, workload([1, 2], time_ns=[0, 50]), ScriptedPolicy([1], 3))
    rows = sink.columns("prefetches")
    late = rows["fate"] == Fate.LATE
    assert rows["saved_ns"][late].tolist() == [50 + 110 - 220]


@pytest.fixture(scope="module")
def many() -> dict[int, tuple[Any, Any]]:
    """By seed the factors of 20,000 calls and of as many services."""
    found = {}
    for seed in (0, 1):
        sink = ListSink()
        n = 20_000
        trace = workload(range(n), size_bytes=[100_000] * n, time_ns=range(0, n * 10**8, 10**8))
        machine = spreading({"spread": TAIL}, TAIL, capacity=1_000_000)
        Engine(machine, OPEN, trace, NonePolicy(), FREE, Books(sink, 10**6), seed=seed).run()
        found[seed] = taken(sink) / 1_000_100, np.array([row["service_ns"] for row in sink.accesses()]) / 100_001
    return found


def test_quantiles_of_what_is_drawn_are_the_points(many: dict[int, tuple[Any, Any]]) -> None:
    mean = sum((b - a) * (x + y) / 2 for (a, x), (b, y) in pairwise(TAIL))
    for factors in (*many[0], *many[1]):
        assert TAIL[0][1] <= factors.min() <= factors.max() <= TAIL[-1][1] + 1e-5
        for share, factor in TAIL[1:-1]:
            # Three and a half standard deviations of a share.
            assert abs(np.mean(factors <= factor + 1e-5) - share) < 3.5 * (share * (1 - share) / len(factors)) ** 0.5
        assert factors.mean() == pytest.approx(mean, rel=0.03)


def test_what_is_drawn_has_nothing_to_do_with_what_else_is(many: dict[int, tuple[Any, Any]]) -> None:
    ranks = [np.argsort(np.argsort(factors)) for factors in (*many[0], *many[1])]
    # Other purposes, other seeds, and the call after.
    pairs = [(ranks[i], ranks[j]) for i in range(4) for j in range(i)] + [(one[:-1], one[1:]) for one in ranks]
    assert max(abs(np.corrcoef(one, other)[0, 1]) for one, other in pairs) < 3.5 / len(ranks[0]) ** 0.5


def test_a_policy_meets_the_same_draws() -> None:
    """With prefetches there are more calls, and the n-th takes as long; so does each access's service."""
    found = []
    for policy in (NonePolicy(), ScriptedPolicy([1], 10**6)):
        trace = workload([2 * i for i in range(200)], time_ns=range(0, 200_000, 1000))
        rows, _, sink = run(Engine, spreading({"spread": TAIL}, TAIL), trace, policy)
        calls = sink.columns("transfers")
        order = np.lexsort((calls["call"], calls["started_ns"]))
        found.append((taken(sink)[order], [row[2] - row[3] - row[4] for row in rows]))
    (calls, services), (more, others) = found
    assert len(calls) == 200 < len(more)
    assert calls.tolist() == more[:200].tolist()
    assert services == others


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([[0, 1]], "at least 2 items"),
        ([[0.1, 1], [1, 2]], "expected shares from 0 to 1, got [[0.1, 1.0], [1.0, 2.0]]"),
        ([[0, 1], [0.99, 2]], "expected shares from 0 to 1, got"),
        ([[0, 1], [0.5, 2], [0.5, 3], [1, 4]], "expected each share to be larger than the one before, by 1e-9 or more"),
        ([[0, 1], [1e-10, 2], [1, 4]], "expected each share to be larger than the one before, by 1e-9 or more"),
        ([[0, 2], [1, 1]], "expected no factor to be below the one before, got [[0.0, 2.0], [1.0, 1.0]]"),
        ([[0, 0], [1, 1]], "greater than or equal to 0.000001"),
        ([[0, 1], [1, 1e7]], "less than or equal to 1000000"),
        ([[0, 1], [50, 2], [100, 3]], "less than or equal to 1"),
        ([0, 1], "valid tuple"),
    ],
)
def test_what_is_no_spread(points: Any, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        spreading({"spread": points})
    assert message in str(caught.value)


def test_a_lower_tier_has_no_service_that_could_spread() -> None:
    raw = system(10, lower=[20]).model_dump(mode="json")
    raw["tiers"][1]["spread"] = TAIL
    with pytest.raises(ValidationError, match=r"tiers\.1\.spread: goes with the first tier, whose service it is"):
        System.model_validate(raw)


@pytest.mark.parametrize(
    ("link", "service", "what"),
    [
        ({"spread": [[0, 1], [1, 1e6]]}, None, "a call on the link 'tier0_origin'"),
        ({"write_spread": [[0, 1], [1, 1e6]]}, None, "a call on the link 'tier0_origin'"),
        ({}, [[0, 1], [1, 1e6]], "service from 'tier0'"),
    ],
)
def test_no_factor_makes_a_duration_too_long(link: dict[str, Any], service: Any, what: str) -> None:
    # 2^30 B take 10 s, or 1 s of service: a million times that is more than 10^6 s, and less without the factor.
    with pytest.raises(InputError, match=rf"system: {what} takes [0-9,]+ s for blocks of 1,073,741,824 B"):
        check_durations(spreading(link, service), 2**30)
    check_durations(spreading({"spread": TAIL}, TAIL), 2**30)


@ENGINES
def test_the_longest_duration_is_stretched_without_overflow(make: Any) -> None:
    machine = spreading({"spread": [[0, 1e6], [1, 1e6]], "call": "999999989 ns"})
    rows, *_ = run(make, machine, workload([1]))
    assert rows[0][4] == 999_999_999 * 10**6
