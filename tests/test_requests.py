"""Requests: runs of a stream's accesses with one number, which a trace may use again, and other streams too."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from experiments import trace
from experiments.compare.requests import request_latencies
from experiments.tables import SCHEMAS, RunTables
from policies.none import NonePolicy
from simulator.accounting import Books, Keeps
from simulator.charge import fixed
from simulator.config import Closed, System
from simulator.engine import Engine
from simulator.trace import make_batch
from tests.strategies import ListSink, workload
from tests.test_trace_ids import MOST, content, rows_of, run, source
from workloads.requests import Requests


def test_a_request_goes_on_past_another_stream_s(tmp_path: Path) -> None:
    """Both accesses of stream 7's request 5 are issued at 0; the next request after them. Streams may number alike."""
    rows = "1,1000,7,5,r\n2,1000,8,5,r\n3,1000,7,5,r\n4,1000,7,6,r\n5,1000,8,6,r\n"
    accesses = rows_of(run(tmp_path, content(source(tmp_path / "t.csv", rows))), "accesses")
    assert accesses["request"] == [5, 5, 5, 6, 6]
    assert accesses["issued_ns"][:3] == [0, 0, 0]
    assert accesses["issued_ns"][3] == max(accesses["latency_ns"][0], accesses["latency_ns"][2]) + 9999


ACCESS_COLUMNS = [name for name in SCHEMAS["accesses"].names if name not in ("arm", "seed", "repeat")]


def tabled(folder: Path, columns: dict[str, Any], arm: str = "a") -> None:
    sink = RunTables(folder, (arm, 0, 0), {"accesses"}, np.array([70, 30, MOST], np.uint64))
    n = len(columns["access"])
    sink.write("accesses", {name: np.array(columns.get(name, [0] * n)) for name in ACCESS_COLUMNS})
    sink.finish({})


def test_requests_with_one_number_are_compared_one_by_one(tmp_path: Path) -> None:
    """Stream 70 has request 5 twice with another between, stream 30 its own; rows come in the order of issue."""
    tabled(tmp_path, {
        "access": [0, 1, 2, 3, 5, 4, 6], "stream": [0, 1, 0, 0, 0, 1, 0], "request": [5, 5, 5, 6, 5, 5, 5],
        "issued_ns": [0, 0, 0, 100, 200, 0, 200], "latency_ns": [10, 70, 30, 4, 8, 90, 9],
    })  # fmt: skip
    found = request_latencies(tmp_path, "a", 0)
    assert found is not None
    # By first access: 70's first 5 (0 and 2), 30's 5 (1 and 4), 70's 6, 70's second 5 (5 and 6).
    assert found.tolist() == [30, 90, 4, 9]


def test_a_request_takes_from_its_first_issue_to_its_last_end(tmp_path: Path) -> None:
    """Open arrivals: the accesses of a request come one by one, and neither first nor last need be first or last over.

    Stream 70's request 8: issued at 20, 10 and 40 (trace order), over at 95, 30 and 60: 95 - 10 = 85. Its request 9: at
    100 and 130, over at 101 and 139: 39. Stream 30's 8: 50 to 57.
    """
    tabled(tmp_path, {
        "access": [1, 0, 3, 2, 4, 5], "stream": [0, 0, 1, 0, 0, 0], "request": [8, 8, 8, 8, 9, 9],
        "issued_ns": [10, 20, 50, 40, 100, 130], "latency_ns": [20, 75, 7, 20, 1, 9],
    })  # fmt: skip
    found = request_latencies(tmp_path, "a", 0)
    assert found is not None
    assert found.tolist() == [85, 7, 39]


def test_requests_whose_neighbours_have_no_rows_are_compared_one_by_one(tmp_path: Path) -> None:
    """Of sampled rows: access 2, a request between, is left out. The third and fourth are one request."""
    tabled(tmp_path, {
        "access": [0, 1, 3, 5], "stream": [0, 1, 0, 0], "request": [5, 9, 5, 5],
        "issued_ns": [0, 0, 300, 300], "latency_ns": [10, 50, 20, 40],
    })  # fmt: skip
    found = request_latencies(tmp_path, "a", 0)
    assert found is not None
    assert found.tolist() == [10, 50, 40]


def test_a_request_may_be_issued_when_the_one_before_is_over(tmp_path: Path) -> None:
    """No thinking, and access 1, of another stream, has no row; a nanosecond sooner it is one request."""
    for second_ns, expected in ((10, [10, 5]), (9, [14])):
        tabled(tmp_path, {
            "access": [0, 2], "stream": [0, 0], "request": [5, 5], "issued_ns": [0, second_ns], "latency_ns": [10, 5],
        })  # fmt: skip
        found = request_latencies(tmp_path, "a", 0)
        assert found is not None
        assert found.tolist() == expected


def test_an_empty_table_has_no_requests(tmp_path: Path) -> None:
    sink = RunTables(tmp_path, ("a", 0, 0), {"accesses"})
    sink.finish({})
    found = request_latencies(tmp_path, "a", 0)
    assert found is not None
    assert len(found) == 0


@pytest.mark.parametrize("rows", [True, {"kind": "sampled", "rate": 0.5}])
def test_a_trace_that_uses_its_numbers_again_is_compared_request_by_request(tmp_path: Path, rows: Any) -> None:
    """Numbers 0 to 9 over and over, two accesses each: not ten requests that last as long as the run."""
    n = 600
    text = "".join(f"{i * 13 % 97},1000,7,{i // 2 % 10},r\n" for i in range(2 * n))
    given_config = content(source(tmp_path / "t.csv", text), output={"accesses": rows})
    out = run(tmp_path, given_config)
    accesses = pd.read_parquet(out / "accesses" / "next_n-0.parquet")
    own = accesses.groupby(accesses["access"] // 2)
    ended = accesses["issued_ns"] + accesses["latency_ns"]
    expected = ended.groupby(accesses["access"] // 2).max() - own["issued_ns"].min()
    found = request_latencies(out, "next_n", 0)
    assert found is not None
    assert found.tolist() == expected.tolist()
    compared = pd.read_parquet(out / "comparisons.parquet").set_index("metric")
    assert compared.loc["request_latency_ns", "n_pairs"] == len(expected) >= n // 3


@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0, 1, MOST])), max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=4),
)
def test_requests_are_counted_as_a_loop_does(rows: list[tuple[int, int]], cuts: list[int]) -> None:
    last: dict[int, tuple[int, int]] = {}
    expected: list[int] = []
    n = 3
    for stream, request in rows:
        if stream not in last or last[stream][0] != request:
            last[stream] = request, n
            n += 1
        expected.append(last[stream][1])
    batch = make_batch(
        range(len(rows)), stream=[stream for stream, _ in rows], request=np.array([r for _, r in rows], np.uint64)
    )
    requests, bounds = Requests(3), [0, *sorted(cuts), len(rows)]
    found = [requests.of(batch[a:b]).tolist() for a, b in itertools.pairwise(bounds)]
    assert [number for piece in found for number in piece] == expected
    assert requests.n == n


def test_the_draw_of_a_request_takes_all_its_64_bits() -> None:
    """As whole numbers modulo 2**64: a compiler may do with a signed sum that does not fit what it likes."""
    n = 4000
    stream = np.arange(n) % 40
    request = np.uint64(MOST) - np.arange(n, dtype=np.uint64) // np.uint64(40) * np.uint64(2**55 + 1)
    sink = ListSink()
    ledger = Books(sink, n, keeps=Keeps(share=0.3))
    rate = {"read_bandwidth": "1 TB/s", "write_bandwidth": "1 TB/s"}
    system = System.model_validate(
        {"tiers": [{"name": "t", "capacity": "9 B", **rate}], "links": [rate], "origin": {"kind": "store"}}
    )
    trace_ = workload(range(n), stream=stream, request=request)
    Engine(system, Closed.model_validate({"kind": "closed"}), trace_, NonePolicy(), fixed(0), ledger).run()

    def is_drawn(s: int, r: int) -> bool:
        x = (r + s * 0x9E3779B97F4A7C1) % 2**64
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
        return (x ^ (x >> 31)) % 2**53 < round(0.3 * 2**53)

    drawn = [i for i in range(n) if is_drawn(int(stream[i]), int(request[i]))]
    assert sorted(sink.columns("accesses")["access"].tolist()) == drawn
    assert 1000 < len(drawn) < 1400


def test_info_counts_requests_as_a_closed_loop_issues_them(tmp_path: Path) -> None:
    source(tmp_path / "t.csv", "1,1,7,5,r\n2,1,8,5,r\n3,1,7,5,r\n4,1,7,6,r\n5,1,7,5,r\n")
    named = "key=key,stream=stream,request=request"
    result = CliRunner().invoke(trace.app, ["info", str(tmp_path / "t.csv"), "--columns", named])
    assert "5 in 4 requests of 2 streams" in result.output
