"""Links that were measured (rule R46): worked by hand, in both engines, and what is refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from simulator.config import System
from simulator.engine import Engine
from simulator.hops import hops_of, way_ns
from simulator.link_table import LinkTable
from simulator.model.model import Model
from simulator.trace import WRITE
from tests.strategies import system, workload
from tests.test_rules import run

# Alone 1 B takes 100 ns and 3 B 201 ns; as the third of three 300 ns and 301 ns.
TABLE = {"sizes": ["1 B", "3 B"], "at_once": [1, 3], "read": [["100 ns", "201 ns"], ["300 ns", "301 ns"]]}
ENGINES = pytest.mark.parametrize("make", [Engine, Model])


def measured(table: dict[str, Any], channels: int = 1, **others: Any) -> System:
    """Tier 0 has room for 100 B; service takes 1 ns and 1 ns a byte."""
    raw = system(100, channels=channels, **others).model_dump(mode="json")
    for link in raw["links"]:
        link["table"] = table
    return System.model_validate(raw)


@ENGINES
@pytest.mark.parametrize(
    ("size", "ns"),
    # Between them 100 + 101 / 2, rounded up; beyond, on the same line; below, as the smallest.
    [(1, 100), (2, 151), (3, 201), (4, 252), (5, 302)],
)
def test_a_call_alone_takes_what_its_bytes_took(make: Any, size: int, ns: int) -> None:
    rows, *_ = run(make, measured(TABLE), workload([1], size_bytes=[size]))
    assert rows[0][2:] == (ns + 1 + size, 0, ns)
    assert hops_of(measured(TABLE))[0].duration(size) == ns


@ENGINES
def test_calls_at_once_take_what_so_many_took(make: Any) -> None:
    # Five come at once, four have a channel. The second takes 151 + (301 - 151) / 2, the third and the fourth 301: more
    # than three were not measured. The fifth begins when the first is over, at 151, and is the fourth again.
    trace = workload([1, 2, 3, 4, 5], size_bytes=[2] * 5, stream=range(5), time_ns=[0] * 5)
    rows, *_ = run(make, measured(TABLE, channels=4), trace)
    assert [row[4] for row in rows] == [151, 226, 301, 301, 301]
    assert [row[3] for row in rows] == [0, 0, 0, 0, 151]


@ENGINES
def test_times_may_fall_with_more_at_once(make: Any) -> None:
    table = {**TABLE, "read": [["100 ns", "200 ns"], ["91 ns", "91 ns"]]}
    trace = workload([1, 2, 3], stream=range(3), time_ns=[0] * 3)
    rows, *_ = run(make, measured(table, channels=3), trace)
    # 100 - 9 / 2, rounded up.
    assert [row[4] for row in rows] == [100, 96, 91]


@ENGINES
def test_down_it_takes_what_was_measured_there(make: Any) -> None:
    """Key 1 is written, and pushed out by key 2, which is written, too: 1 B goes down."""
    trace = workload([1, 2, 3], op=[WRITE, WRITE, WRITE], time_ns=[0, 1000, 5000])
    for write, ns in (([["70 ns", "80 ns"], ["70 ns", "80 ns"]], 70), (None, 100 + 1 + 10)):
        raw = measured({**TABLE, "write": write}, lower=[9]).model_dump(mode="json")
        raw["tiers"][0]["capacity"] = "1 B"
        *_, sink = run(make, System.model_validate(raw), trace)
        rows = sink.columns("transfers")
        taken = rows["ended_ns"] - rows["started_ns"]
        assert taken[rows["is_down"].astype(bool) & (rows["link"] == "tier0_tier1")].tolist() == [ns, ns]


@ENGINES
def test_making_a_block_comes_on_top(make: Any) -> None:
    origin = {"kind": "compute", "per_mib": f"{2**20 * 30} ns", "call": "7 ns", "enters": "last"}
    rows, *_ = run(make, measured(TABLE, origin=origin), workload([1]))
    assert rows[0][4] == 100 + 30 + 7
    assert way_ns(hops_of(measured(TABLE, origin=origin)), 1, 1, 1) == 137


def test_one_block_far_beyond_what_was_measured() -> None:
    # The product of bytes and time is no 64-bit number.
    table = {**TABLE, "sizes": ["1 MiB", "2 MiB"], "read": [["1 ms", "3 ms"], ["1 ms", "3 ms"]]}
    n_bytes = 2**39
    assert hops_of(measured(table))[0].duration(n_bytes) == 10**6 + -(-2 * 10**6 * (n_bytes - 2**20) // 2**20)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": ["3 B", "1 B"]}, "sizes: expected each to be larger than the one before, got [3, 1]"),
        ({"sizes": ["3 B"]}, "at least 2 items"),
        ({"at_once": [2, 3]}, "at_once: expected 1 first, a call alone; got [2, 3]"),
        ({"at_once": [1]}, "read: expected 1 rows, one for each of at_once, got 2"),
        ({"read": [["1 ns", "2 ns"], ["1 ns"]]}, "read.1: expected 2 durations, one for each of sizes, got 1"),
        ({"write": [["9 ns", "2 ns"]] * 2}, "write.0: 3 B take 2 ns, less than 1 B with 9 ns; expected no less"),
        ({"read": [["0 ns", "2 ns"]] * 2}, "read.0: 1 B take no time; expected 1 ns or more"),
        (
            {"sizes": ["1 B", "1 TiB"], "read": [["1 ns", "1000 s"]] * 2},
            "read.0: from 1 B to 1099511627776 B it is too far; expected a size between them",
        ),
    ],
)
def test_what_is_no_table(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        LinkTable.model_validate({**TABLE, **change})
    assert message in str(caught.value)
