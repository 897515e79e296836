"""The table ``transfers``, worked by hand in both engines; what holds for any; and where it is kept.

Figures: a hop takes 100 ns call + 10 ns for its byte (+ 1 ns from a tier); service takes 2 ns. Random systems of both
engines are compared to the bit in ``test_random_systems``, this table among the others.
"""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from experiments.folder import OF_RUNS
from experiments.tables import SCHEMAS
from policies.none import NonePolicy
from simulator.accounting import Books, BooksError
from simulator.config import Open, System
from simulator.engine import Engine
from simulator.model.model import Model
from simulator.trace import make_batch
from tests.cases import Case, cases
from tests.differential import everything_of
from tests.strategies import FREE, ListSink, ListWorkload, ScriptedPolicy, system
from tests.test_experiment import call, config, write
from tierfetch import Results, simulate

OPEN = Open.model_validate({"kind": "open"})
DEMAND, PREFETCH, WRITE_BACK = range(3)
OF_MISS, OF_PREFETCH, RECOMPUTE, OF_WRITE_BACK, DEMOTION = range(5)


@pytest.fixture(params=[Engine, Model], ids=["compiled", "model"])
def make(request: pytest.FixtureRequest) -> Any:
    return request.param


def rows(make: Any, system_: System, keys: list[int], *, policy: Any = None, first: int = 0, **batch: Any) -> Any:
    """The columns of ``transfers`` by name, of accesses that come 1 ns after another unless told."""
    sink, more = ListSink(), {"time_ns": list(range(len(keys))), **batch}
    ledger = Books(sink, 1000, first_access=first)
    workload = ListWorkload(make_batch(keys, **more))
    make(system_, OPEN, workload, policy or NonePolicy(), FREE, ledger, prefix_reuse="request" in batch).run()
    return {name: values.tolist() for name, values in sink.columns("transfers").items()}


def times(found: Any) -> list[tuple[int, int, int]]:
    return list(zip(found["queued_ns"], found["started_ns"], found["ended_ns"], strict=True))


def test_a_miss_goes_over_every_link_and_calls_take_the_first_free_channel(make: Any) -> None:
    found = rows(make, system(9, lower=(9,), channels=2), [1, 2, 3, 4], time_ns=[0, 5, 7, 120])
    # 3 waits for the channel of 1, 4 for that of 2; below, where all misses go first, as above.
    assert found["link"] == ["tier1_origin"] * 2 + ["tier0_tier1", "tier1_origin"] * 2 + ["tier0_tier1"] * 2
    assert found["key"] == [1, 2, 1, 3, 2, 4, 3, 4]
    assert found["channel"] == [0, 1, 0, 0, 1, 1, 0, 1]
    assert found["call"] == list(range(8))
    assert found["access"] == [0, 1, 0, 2, 1, 3, 2, 3]
    assert times(found) == [
        (0, 0, 110), (5, 5, 115), (110, 110, 221), (7, 110, 220),
        (115, 115, 226), (120, 120, 230), (220, 221, 332), (230, 230, 341),
    ]  # fmt: skip
    assert set(found["cause"]) == {OF_MISS}
    assert set(found["class"]) == set(found["priority"]) == {DEMAND}
    assert set(found["size_bytes"]) == {1}
    assert set(found["is_down"]) == {False}
    assert set(found["prefetch"]) == {None}


def test_those_of_one_call_share_it(make: Any) -> None:
    found = rows(make, system(9, blocks_per_call=2), [1, 2, 3, 4], time_ns=[0, 1, 1, 1])
    # A call of two takes 100 + 20.
    assert found["call"] == [0, 1, 1, 2]
    assert times(found) == [(0, 0, 110), (1, 110, 230), (1, 110, 230), (1, 230, 340)]


def test_a_prefetch_is_one_until_a_demand_waits_for_it(make: Any) -> None:
    """At 0, 1 misses and 2 and 3 are wanted; 3 is asked for at 50, while it queues, and goes before 2."""
    policy = ScriptedPolicy([1, 1], 50)
    found = rows(make, system(9), [1, 3], policy=policy, time_ns=[0, 50])
    assert found["key"][:3] == [1, 3, 2]
    assert found["cause"][:3] == [OF_MISS, OF_PREFETCH, OF_PREFETCH]
    assert found["class"][:3] == [DEMAND, PREFETCH, PREFETCH]
    assert found["priority"][:3] == [DEMAND, DEMAND, PREFETCH]
    assert found["prefetch"][:3] == [None, 1, 0]
    assert found["access"][:3] == [0, None, None]
    assert times(found)[:3] == [(0, 0, 110), (0, 110, 220), (0, 220, 330)]


def test_blocks_that_go_down_say_why(make: Any) -> None:
    """Of tier 0, which holds one: 1 was written to, 2 was read; both go down, for a clean one is kept there, too."""
    demotes = {"placement": "exclusive", "clean_evictions": "demote"}
    found = rows(make, system(1, lower=(9,), **demotes), [1, 2, 3], op=[1, 0, 0], time_ns=[0, 500, 1500])
    down = [i for i, is_down in enumerate(found["is_down"]) if is_down]
    assert [found["key"][i] for i in down] == [1, 2]
    assert [found["cause"][i] for i in down] == [OF_WRITE_BACK, DEMOTION]
    assert {found["class"][i] for i in down} == {WRITE_BACK}
    assert {found["link"][i] for i in down} == {"tier0_tier1"}
    assert {found["access"][i] for i in down} == {None}


def test_what_is_computed_although_it_is_there(make: Any) -> None:
    """9 is missing, so that 1, which tier 0 has, is computed again behind it."""
    origin = {"kind": "compute", "per_mib": "100 ms", "enters": "first"}
    found = rows(make, system(9, origin=origin), [1, 9, 1], request=[0, 1, 1], time_ns=[0, 5000, 5000])
    assert found["cause"] == [OF_MISS, OF_MISS, RECOMPUTE]
    assert found["access"] == [0, 1, 2]
    assert set(found["link"]) == {"compute"}


def test_what_is_not_judged_has_no_rows_and_keeps_its_channel(make: Any) -> None:
    """1 is on channel 0 until 110; judging begins with 2, which so has channel 1."""
    found = rows(make, system(9, channels=2), [1, 2], first=1, time_ns=[0, 50])
    assert (found["key"], found["channel"], found["call"]) == ([2], [1], [0])


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases())
def test_on_each_channel_is_one_call_at_a_time(case: Case) -> None:
    found = everything_of(Engine, case)
    columns = {name.partition(".")[2]: _values(text) for name, text in found.items() if name.startswith("transfers.")}
    names, moved = case.system.link_names(), Counter[tuple[str, int]]()
    calls: dict[int, list[dict[str, Any]]] = {}
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(columns, values, strict=True))
        moved[row["link"], row["class"]] += row["size_bytes"]
        calls.setdefault(row["call"], []).append(row)
    for link, of_class in zip(names, found["result"][1], strict=True):
        assert [moved[link, class_] for class_ in range(3)] == of_class
    busy: dict[tuple[str, int], int] = {}
    for number, (call_, blocks) in enumerate(calls.items()):
        assert call_ == number
        (where,) = {(row["link"], row["channel"]) for row in blocks}
        (span,) = {(row["started_ns"], row["ended_ns"]) for row in blocks}
        assert busy.get(where, 0) <= span[0] <= span[1]
        assert all(row["queued_ns"] <= span[0] for row in blocks)
        # Whichever comes before it was taken.
        if case.judged_from == 0:
            assert all(busy.get((where[0], other), -1) >= span[0] for other in range(where[1]))
        busy[where] = span[1]


def _values(text: str) -> Any:
    return eval(text)


def test_rows_that_do_not_add_up_are_noticed(monkeypatch: pytest.MonkeyPatch, make: Any) -> None:
    """A row that is lost on its way is found out as the books close."""
    from simulator import accounting

    add = accounting.Books.add_transfers
    monkeypatch.setattr(accounting.Books, "add_transfers", lambda self, lot: add(self, lot[1:]))
    with pytest.raises(BooksError, match=r"link 0: bytes of transfers \[2, 0, 0\] = moved \[3, 0, 0\]"):
        rows(make, system(9), [1, 2, 3])


def test_an_experiment_keeps_them_if_told(tmp_path: Path) -> None:
    raw = config(seeds=[0])
    path = write(tmp_path, raw | {"output": {**raw.get("output", {}), "transfers": True}})
    assert call(path, "--out", tmp_path / "out").exit_code == 0
    results = Results.open(tmp_path / "out")
    runs = results.runs.set_index("arm")
    for arm in results.arms:
        found = results.transfers(arm)
        assert pq.read_schema(tmp_path / "out" / "transfers" / f"{arm}-0.parquet").equals(SCHEMAS["transfers"])
        sums = found.groupby(["link", "class"], observed=True)["size_bytes"].sum()
        assert len(sums) > 0
        for (link, class_), n_bytes in sums.items():
            assert runs.loc[arm, f"{link}_{class_}_bytes"] == n_bytes
    late = results.transfers("next_n").query("`class` == 'prefetch'")["prefetch"]
    assert set(late) <= set(results.prefetches("next_n")["prefetch"])


def test_in_memory() -> None:
    roomy = system(2 * 65536, lower=(4 * 65536,))  # two and four blocks
    found = simulate(roomy, np.array([1, 2, 3, 1]), keep=["transfers"]).table("transfers").to_pandas()
    assert found["link"].value_counts().to_dict() == {"tier0_tier1": 4, "tier1_origin": 3}
    assert found["class"].tolist() == found["priority"].tolist() == ["demand"] * 7


def test_every_table_of_a_run_is_one_of_its_folder() -> None:
    """Else the folder of a run that was broken off counts as somebody else's."""
    assert set(OF_RUNS) == set(SCHEMAS)
