"""Where latency goes, which misses prefetching saved and caused, what late prefetches saved, and who asked for what."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.next_n import NextNPolicy
from policies.none import NonePolicy
from simulator.config import Closed, System
from simulator.engine import Engine
from simulator.policy import Outcome
from tests.strategies import FREE, OUR_EVICTIONS, ListSink, ScriptedPolicy, batches, books, policies, systems, workload
from tests.test_experiment import call, config, lstm_arm, table, write

CLOSED = Closed.model_validate({"kind": "closed", "think": "1 us"})
ADMISSIONS: list[dict[str, Any]] = [
    {"kind": "all"},
    {"kind": "size", "largest": "2 B"},
    {"kind": "probabilistic", "probability": 0.5},
    {"kind": "tinylfu"},
]


def run(machine: System, keys: list[int], ops: list[int], policy: Any) -> Any:
    ledger = books(ListSink())
    sizes = [1 + key % 3 for key in keys]
    Engine(machine, CLOSED, workload(keys, size_bytes=sizes, op=ops), policy, FREE, ledger).run()
    return ledger


@settings(max_examples=200, deadline=None)
@given(
    eviction=st.sampled_from(OUR_EVICTIONS),
    admission=st.sampled_from(ADMISSIONS),
    placement=st.sampled_from(["inclusive", "exclusive"]),
    enters=st.sampled_from(["front", "middle", "back", "region"]),
    accesses=st.lists(st.tuples(st.integers(0, 25), st.sampled_from([0, 0, 0, 1])), min_size=1, max_size=120),
    policy=policies(),
)
def test_saved_minus_caused_is_the_difference_between_the_arms(
    eviction: str, admission: dict[str, Any], placement: str, enters: str, accesses: Any, policy: ScriptedPolicy
) -> None:
    """One stream, an access a request: there the shadow is the arm without prefetching, whoever evicts or admits.

    Even at random: both draw the same numbers. Belady's own future is the demand stream's, as it is for that arm.
    """
    rate = {"read_bandwidth": "1 TB/s", "write_bandwidth": "1 TB/s"}
    first = {"name": "a", "capacity": "12 B", "eviction": eviction, "admission": admission, **rate}
    machine = System.model_validate(
        {
            "tiers": [first, {"name": "b", "capacity": "20 B", **rate}],
            "links": [{"call": "3 us", **rate}, {"call": "9 us", **rate}],
            "origin": {"kind": "store"},
            "placement": placement,
            "prefetch": {"enters": enters},
        }
    )
    keys, ops = [key for key, _ in accesses], [op for _, op in accesses]
    arm, none = run(machine, keys, ops, policy), run(machine, keys, ops, NonePolicy())
    missed = [ledger.n_outcomes[Outcome.MISS] + ledger.n_outcomes[Outcome.MERGED] for ledger in (arm, none)]
    if arm.has_shadow:
        assert arm.n_shadow_misses == missed[1]
        assert arm.n_saved - arm.n_caused == missed[1] - missed[0]


def test_a_miss_that_was_saved_and_one_that_was_caused() -> None:
    """Two blocks of room. Next-N saves the miss on 11, and by fetching 11 pushes out 5, which is missed again."""
    rate = {"read_bandwidth": "1 TB/s", "write_bandwidth": "1 TB/s"}
    machine = System.model_validate(
        {
            "tiers": [{"name": "a", "capacity": "2 B", "eviction": "fifo", **rate}],
            "links": [{"call": "300 ns", **rate}],
            "origin": {"kind": "store"},
        }
    )
    ledger = books(ListSink())
    policy = NextNPolicy(trigger="miss")
    Engine(machine, CLOSED, workload([5, 10, 5, 11]), policy, FREE, ledger).run()
    # 5: miss, 6 comes; 10: miss, then 5 and 6 are out for 10 and 11; 5: caused; then 6 again pushes out 11 or 10.
    columns = ledger.sink.columns("accesses")
    by_access = np.argsort(columns["access"])
    assert columns["shadow"][by_access].tolist() == [1, 1, 0, 1]
    assert ledger.n_caused == 1
    assert ledger.n_shadow_misses == 3


@settings(max_examples=60, deadline=None)
@given(systems(), batches())
def test_without_questions_there_is_no_shadow_and_the_books_close(machine: Any, batch: Any) -> None:
    from tests.strategies import ListWorkload

    ledger = books(ListSink())
    Engine(machine, CLOSED, ListWorkload(batch), NonePolicy(), FREE, ledger).run()
    assert not ledger.has_shadow
    columns = ledger.sink.columns("accesses")  # type: ignore[union-attr]
    assert set(columns["shadow"].tolist()) <= {-1}
    assert sum(ledger.link_queue_ns) + sum(ledger.link_transfer_ns) == int(
        columns["queue_ns"].sum() + columns["transfer_ns"].sum()
    )


def test_what_a_late_prefetch_saved() -> None:
    """A fetch takes 301 ns; the access comes 101 ns after the prefetch began (think 100 + service 1): so much is saved.

    Next-N asks for 11 as 10 is missed; 10 lands first on the one channel of two, so both start at once.
    """
    rate = {"read_bandwidth": "1 TB/s", "write_bandwidth": "1 TB/s"}
    machine = System.model_validate(
        {
            "tiers": [{"name": "a", "capacity": "20 B", **rate}],
            "links": [{"call": "300 ns", "channels": 2, **rate}],
            "origin": {"kind": "store", "latency": "0 ns"},
        }
    )
    ledger = books(ListSink())
    think = Closed.model_validate({"kind": "closed", "think": "100 ns"})
    ops = np.array([1, 0], np.uint8)
    Engine(machine, think, workload([10, 11], op=ops), NextNPolicy(trigger="miss"), FREE, ledger).run()
    row = {name: values[0] for name, values in ledger.sink.columns("prefetches").items()}
    # The write of 10 needs no fetch: served in 1 ns at 0, then 100 ns of thinking, while 11 is on its way from 0 on.
    assert (row["key"], row["proposed_ns"], row["first_used_ns"], row["filled_ns"]) == (11, 0, 101, 301)
    assert (row["first_used_access"], row["saved_ns"]) == (1, 101)


def test_tables_tell_who_asked_for_what_and_where_time_went(tmp_path: Path) -> None:
    content = config(seeds=[0])
    content["system"]["tiers"].append({**content["system"]["tiers"][0], "name": "dram", "capacity": "120 KiB"})
    content["system"]["links"].append(content["system"]["links"][0])
    content["system"]["inference"] = {"mode": "sync"}
    content["arms"] = [content["arms"][0], content["arms"][1], lstm_arm({"kind": "fixed", "latency": "50 us"})]
    path, out = write(tmp_path, content), tmp_path / "out"
    assert call(path, "--out", out).exit_code == 0
    runs = table(out, "runs.parquet").set_index("arm")
    parts = table(out, "attribution.parquet")
    for arm, of_arm in parts.groupby("arm"):
        assert of_arm["sum_ns"].sum() == runs.loc[arm, "latency_sum_ns"]
        assert of_arm["mean_ns"].sum() == pytest.approx(runs.loc[arm, "mean_latency_ns"])
        assert of_arm["share_ratio"].sum() == pytest.approx(1)
    assert System.model_validate(content["system"]).link_names() == ["hbm_dram", "dram_origin"]
    assert parts["link"].dropna().unique().tolist() == ["hbm_dram", "dram_origin"]
    inference = parts[(parts["component"] == "inference") & (parts["arm"] == "lstm")]
    assert inference["sum_ns"].iloc[0] > 0

    accesses = pd.read_parquet(out / "accesses" / "lstm-0.parquet").set_index("access")
    prefetches = pd.read_parquet(out / "prefetches" / "lstm-0.parquet")
    inferences = pd.read_parquet(out / "inferences" / "lstm-0.parquet").set_index("inference")
    used = prefetches[prefetches["first_used_access"].notna()]
    assert len(used) == runs.loc["lstm", ["n_prefetch_timely", "n_prefetch_late"]].sum() > 100
    for row in used.itertuples():
        use = accesses.loc[int(row.first_used_access)]
        assert use["key"] == row.key
        assert use["outcome"] in ("hit_prefetched", "late")
        assert inferences.loc[row.inference, "ended_ns"] == row.proposed_ns
        assert inferences.loc[row.inference, "access"] < row.first_used_access
    shadow, outcome = accesses["shadow"], accesses["outcome"]
    is_miss = outcome.isin(["miss", "merged"])
    assert ((shadow == "miss") & ~is_miss).sum() == runs.loc["lstm", "n_saved"]
    assert ((shadow == "hit") & is_miss).sum() == runs.loc["lstm", "n_caused"]
    assert pd.read_parquet(out / "accesses" / "none-0.parquet")["shadow"].isna().all()
