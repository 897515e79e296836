"""Arrivals of a coarse clock, spread over its ticks, against a loop that says the same."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.trace import Batch, concatenate, make_batch
from tests.strategies import ListWorkload
from tests.test_bad_input import refuse
from tests.test_experiment import call, config, table, write
from workloads.spread import Spread


def naive(batch: Batch) -> list[int]:
    """As the rule says it (R30)."""
    times, groups = batch.time_ns.tolist(), []
    before = None
    for i, place in enumerate(zip(batch.stream.tolist(), batch.request.tolist(), strict=True)):
        if i == 0 or times[i] != times[i - 1]:
            groups.append([0, times[i], []])
        groups[-1][0] += place != before
        groups[-1][2].append(max(groups[-1][0] - 1, 0))
        before = place
    gaps = [b - a for a, b in pairwise(times) if b > a]
    tick = min(gaps, default=0)
    return [time + tick * number // max(n, 1) for n, time, numbers in groups for number in numbers]


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    n = draw(st.integers(1, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return make_batch(
        rng.integers(0, 9, n), stream=rng.integers(0, 2, n), request=np.cumsum(rng.random(n) < 0.6),
        time_ns=np.cumsum(rng.choice([0, 0, 0, 100, 300], n)),
    )  # fmt: skip


@given(batches(), st.sampled_from([1, 3, 100]))
def test_as_the_loop_says(batch: Batch, at_once: int) -> None:
    spread = Spread(ListWorkload(batch, at_once), True, 0)
    found = concatenate(list(spread.batches()))
    assert found.time_ns.tolist() == naive(batch)
    assert (found.key == batch.key).all()
    assert (np.diff(found.time_ns) >= 0).all()


@given(batches(), st.sampled_from([1, 3, 100]))
def test_drawn_times_are_in_order_within_their_tick(batch: Batch, at_once: int) -> None:
    found = concatenate(list(Spread(ListWorkload(batch, at_once), "jitter", 7).batches())).time_ns
    again = concatenate(list(Spread(ListWorkload(batch, 5), "jitter", 7).batches())).time_ns
    gaps = np.diff(batch.time_ns)
    tick = int(gaps[gaps > 0].min(initial=10**9)) if (gaps > 0).any() else 1
    assert (found == again).all()
    assert (np.diff(found) >= 0).all()
    assert ((found >= batch.time_ns) & (found < batch.time_ns + max(tick, 1))).all()


def test_a_burst_of_a_coarse_clock_is_one_of_the_clock_alone(tmp_path: Path) -> None:
    """Ten requests a second of a clock of seconds: one after another nobody waits, all at once they do."""
    rows = "".join(f"{i},{i // 10 * 1_000_000_000}\n" for i in range(300))
    (tmp_path / "t.csv").write_text("key,t\n" + rows)
    columns = {"key": "key", "time_ns": "t"}
    source = {"kind": "table", "path": str(tmp_path / "t.csv"), "columns": columns, "block": "4 KiB"}
    found: dict[Any, Any] = {}
    for spread in (False, True, "jitter"):
        arms = [{"name": "none", "policy": {"kind": "none"}}]
        workload = {"source": source, "arrivals": {"kind": "open", "spread": spread}}
        path = write(tmp_path, config(arms=arms, seeds=[0], workload=workload))
        result = call(path, "--out", tmp_path / f"out{spread}")
        assert result.exit_code == 0, result.output
        assert ("The trace's clock is coarse: 10.0 requests share" in result.output) == (spread is False)
        (found[spread],) = table(tmp_path / f"out{spread}", "runs.parquet")["mean_queue_ns"]
    assert found[False] > 100_000
    assert found[True] == 0
    assert found["jitter"] < found[False] / 10


@pytest.mark.parametrize("spread", ["evenly", 1])
def test_bad_spread(tmp_path: Path, spread: Any) -> None:
    arms = [{"name": "none", "policy": {"kind": "none"}}]
    workload = {
        "source": {"kind": "ids", "path": "x.txt", "block": "1 B"},
        "arrivals": {"kind": "open", "spread": spread},
    }
    refuse(tmp_path, config(arms=arms, workload=workload), "workload.arrivals.open.spread")
