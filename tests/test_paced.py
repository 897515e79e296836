"""A measured charge at a pace: what happens before a question that is timed, and what the others are charged."""

import gc
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from experiments import pacing
from experiments.charges import Measured
from experiments.config import Arm
from experiments.pacing import COLUMNS, probed
from experiments.prepared import most_at_once
from simulator.accounting import Books
from simulator.charge import measured, measured_cpu, put
from simulator.config import Closed, System
from simulator.engine import Engine
from simulator.errors import InputError
from simulator.model.model import Model
from simulator.paced import FIRST, OtherWork, Pause, paced
from simulator.policy import Ahead, Answer, Decision, Status, Trigger
from tests.strategies import ListSink, workload
from tests.test_experiment import call, only_lstm, write

_US, _MS = 1000, 10**6


class Gaps:
    """Stands in for what comes between: notes the gaps; those of 0 are over."""

    def __init__(self) -> None:
        self.waited: list[int] = []

    def kind(self, gap_ns: int) -> int:
        return gap_ns.bit_length()

    def is_over(self, gap_ns: int) -> bool:
        return gap_ns == 0

    def __call__(self, gap_ns: int) -> None:
        self.waited.append(gap_ns)

    def answered(self) -> None: ...


def test_a_share_is_paced_and_the_others_are_drawn_from_it() -> None:
    gaps, now = Gaps(), 0
    charge = paced(gaps, measured, 0.1, np.random.default_rng(0))
    own, drawn = [], []
    for i in range(2000):
        n_waited = len(gaps.waited)
        now += 5 * _US
        charge.before(now, 1)
        # What it takes after a wait is told apart from what it takes at once.
        host_ns = (10_000 if len(gaps.waited) > n_waited else 1_000) + i
        cost = charge(Decision([Answer()], host_ns, 3, 2))
        assert cost[1:] == (host_ns, 3, 2)
        assert cost.charged_ns >= 10_000
        if len(gaps.waited) > n_waited:
            assert cost.charged_ns == host_ns
            own.append(cost.charged_ns)
        else:
            drawn.append(cost.charged_ns)
            assert cost.charged_ns in own
        # The gap is that since the last answer on the simulated clock.
        assert gaps.waited[n_waited:] in ([], [5 * _US])
        now += cost.charged_ns
    assert len(own) == charge.n_paced == pytest.approx(FIRST + 0.1 * (2000 - FIRST), abs=40)
    assert len(set(drawn)) > 100
    assert own[:FIRST] == [10_000 + i for i in range(FIRST)]


def test_unlike_questions_are_not_drawn_from() -> None:
    """Not those of other batches or other gaps; and one whose gap is over is charged its own time, without a wait."""
    gaps = Gaps()
    charge = paced(gaps, measured, 1e-9, np.random.default_rng(0))
    now = 0

    def ask(gap_ns: int, n: int, host_ns: int) -> int:
        nonlocal now
        charge.before(now + gap_ns, n)
        cost = charge(Decision([Answer()], host_ns))
        now += gap_ns + cost.charged_ns
        return cost.charged_ns

    for gap_ns, n, took in ((1000, 1, 5), (1000, 2, 7), (9000, 1, 11)):
        assert {ask(gap_ns, n, took) for _ in range(FIRST)} == {took}
        assert ask(0, n, 2) == 2
    assert len(gaps.waited) == 3 * FIRST
    assert [ask(1000, 1, 1), ask(1000, 2, 1), ask(9000, 1, 1)] == [5, 7, 11]


def test_what_comes_between_takes_its_time() -> None:
    pause = Pause(3 * _MS)
    for gap_ns, least_ns in ((20 * _US, 20 * _US), (_MS, _MS), (50 * _MS, 3 * _MS)):
        start = time.perf_counter_ns()
        pause.answered()
        assert not pause.is_over(50 * _MS)
        pause(gap_ns)
        assert time.perf_counter_ns() - start >= least_ns
        assert pause.is_over(gap_ns)
    assert time.perf_counter_ns() - start < 50 * _MS
    assert pause.kind(50 * _MS) == pause.kind(3 * _MS) != pause.kind(_MS)
    work = OtherWork(1001)
    work(0)
    work(0)
    assert work._touched.nbytes == 1008
    assert (work._touched == 3).all()
    assert not work.is_over(10**12)


class Slow:
    """Takes longer after a pause: it waits for as long as it was not asked."""

    trigger, footprint_bytes, ahead, hears = Trigger.ACCESS, 0, Ahead(), False

    def __init__(self) -> None:
        self.n_collecting = 0

    def decide(self, runs: Any) -> Decision:
        self.n_collecting += gc.isenabled()
        return Decision([Answer() for _ in runs], 7_000, cpu_ns=4_000)

    def told(self, told: Any) -> None: ...


@pytest.mark.parametrize("make", [Engine, Model])
def test_a_run_tells_the_charge_the_time_of_each_question(make: Any) -> None:
    """In the engine and in the model alike; and no garbage is collected while a policy decides."""
    tier = {"name": "tier", "capacity": "16 B", "read_bandwidth": "1 GB/s", "write_bandwidth": "1 GB/s"}
    link = {"read_bandwidth": "1 GB/s", "write_bandwidth": "1 GB/s"}
    system = System.model_validate({"tiers": [tier], "links": [link], "origin": {"kind": "store"}})
    closed = Closed.model_validate({"kind": "closed", "think": "1 ms"})
    told: list[tuple[int, int]] = []

    class Noting(paced):
        def before(self, now_ns: int, n_questions: int) -> None:
            told.append((now_ns, n_questions))
            super().before(now_ns, n_questions)

    policy, sink, gaps = Slow(), ListSink(), Gaps()
    charge = Noting(gaps, measured_cpu, 1, np.random.default_rng(0))
    trace = workload([0, 8, 16] * 5, request=list(range(15)))
    make(system, closed, trace, policy, charge, Books(sink, 10)).run()
    rows = sink.columns("inferences")
    assert told == [(start, 1) for start in rows["started_ns"].tolist()]
    done = rows["status"] == Status.ANSWERED
    assert set(rows["charged_ns"][done].tolist()) == {4_000}
    assert set(rows["host_ns"][done].tolist()) == {7_000}
    # The first comes at once.
    assert gaps.waited == (rows["started_ns"][1:] - rows["ended_ns"][:-1]).tolist()
    assert policy.n_collecting == 0
    assert gc.isenabled()


def test_the_collector_is_left_as_it_was() -> None:
    class Failing(Slow):
        def decide(self, runs: Any) -> Decision:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        put(Failing(), measured, [], 0)
    assert gc.isenabled()
    gc.disable()
    try:
        put(Slow(), measured, [], 0)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_the_three_are_told_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the clock that is charged, each after its own pace; the pause is cut to the longest."""
    monkeypatch.setattr(pacing, "_ROUNDS", 4)
    seen: list[int] = []
    last = time.perf_counter_ns()

    def ask() -> Decision:
        nonlocal last
        now = time.perf_counter_ns()
        since, last = now - last, now
        seen.append(since)
        return Decision([], since, cpu_ns=5)

    settings = {"kind": "measured", "longest": "3 ms", "touched": "1 MiB", "pace": "simulated"}
    with pytest.raises(InputError, match=r"touched: [0-9,]+ B is more than this machine's memory"):
        OtherWork(2**60)
    with pytest.raises(ValueError, match="touched: goes with pace: cold; expected none with simulated"):
        Measured.model_validate(settings)
    charge = Measured.model_validate({**settings, "touched": "64 MiB"}).model_copy(update={"touched": 2**16})
    found = probed(ask, charge, 10**9)
    # Each of three paces four times, and each time one question at none before five.
    assert len(seen) == 3 * 4 * 6
    assert tuple(found) == COLUMNS
    assert found["inference_pause_ns"] == 3 * _MS
    assert found["p50_inference_simulated_ns"] >= 3 * _MS > found["p50_inference_back_to_back_ns"]
    assert found["p99_inference_simulated_ns"] >= found["p50_inference_simulated_ns"]
    by_cpu = probed(ask, charge.model_copy(update={"clock": "cpu", "longest": 1}), 1)
    assert {by_cpu[name] for name in COLUMNS[1:]} == {5}


def test_how_many_questions_come_at_once() -> None:
    def most(n_streams: int, **inference: Any) -> int:
        tier = {"name": "tier", "capacity": "16 B", "read_bandwidth": "1 GB/s", "write_bandwidth": "1 GB/s"}
        link = {"read_bandwidth": "1 GB/s", "write_bandwidth": "1 GB/s"}
        whole = {"tiers": [tier], "links": [link], "origin": {"kind": "store"}, "inference": inference}
        return most_at_once(System.model_validate(whole), n_streams)

    assert most(9) == 1
    assert most(3, batch_size=8) == 3
    assert most(3, batch_size=8, queue="fifo") == 8
    assert most(3, batch_size=8, mode="sync") == 8
    assert most(30, batch_size=8, queue_limit=4) == 5


def test_a_charge_in_a_line() -> None:
    charge = "measured(pace=cold, touched=1 MiB, clock=cpu)"
    arm = Arm.model_validate({"name": "a", "policy": "next_n", "charge": charge})
    assert arm.charged == Measured.model_validate(
        {"kind": "measured", "pace": "cold", "touched": "1 MiB", "clock": "cpu"}
    )
    assert Arm.model_validate(arm.model_dump(mode="json")) == arm


def test_tables_have_no_pace(tmp_path: Path) -> None:
    """A wait before what takes nothing would be for nothing."""
    content = only_lstm({"kind": "free"})
    content["arms"][1] = {"name": "a", "policy": "next_n", "charge": {"kind": "measured", "pace": "simulated"}}
    result = call(write(tmp_path, content), "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "arms.a.charge.pace: 'simulated' goes with what is measured" in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("backend", ["compiled", "eager"])
@pytest.mark.parametrize("pace", ["simulated", "cold"])
def test_a_run_keeps_the_pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str, pace: str) -> None:
    """Also where what a network decides is kept beside what it took; and then a replay can take those decisions."""
    paced_by, gaps = {"simulated": Pause, "cold": OtherWork}[pace], []
    monkeypatch.setattr(paced_by, "is_over", lambda self, gap_ns: False)
    monkeypatch.setattr(paced_by, "__call__", lambda self, gap_ns: gaps.append(gap_ns))
    content = only_lstm({"kind": "measured", "pace": pace, "share": 1.0})
    content["arms"][1]["policy"].update(backend=backend, epochs=1)
    result = call(write(tmp_path, content), "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    runs = pd.read_parquet(tmp_path / "out" / "runs.parquet").set_index("arm")
    n_probed = pacing._ROUNDS * pacing._OF_ROUND
    assert runs.loc["lstm", "n_inferences_paced"] == len(gaps) - n_probed > 100
    content["arms"][1]["charge"] = {"kind": "replay", "source": str(tmp_path / "out"), "decisions": "recorded"}
    again = call(write(tmp_path, content), "--out", tmp_path / "again")
    assert again.exit_code == 0, again.output
    told = [pq.read_table(tmp_path / out / "inferences" / "lstm-0.parquet") for out in ("out", "again")]
    assert told[0].equals(told[1], check_metadata=False)
