"""The LSTM asked by compiled code: it answers as in Python, and a run leaves the same tables however it is asked."""

from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.asking import InPython
from policies.lstm.batched import tables_of
from policies.lstm.config import LstmConfig
from policies.lstm.policy import BatchedLstmPolicy, CompiledLstmPolicy, LstmPolicy
from policies.lstm.predictor import LstmPredictor
from policies.timing import Timing
from simulator.accounting import Books
from simulator.charge import Charge, Cost, fixed, measured, measured_cpu, sampled
from simulator.config import Closed, System
from simulator.engine import Engine
from simulator.model.model import Model
from simulator.policy import AccessRun, Answer, Status
from tests.strategies import ListSink, ListWorkload, workload

N_STREAMS = 3
CASES: dict[str, dict[str, Any]] = {
    "key": {"encoding": "key", "degree": 2},
    "delta": {"encoding": "delta", "degree": 3, "layers": 1},
    "page_offset": {"encoding": "page_offset", "degree": 4, "page_blocks": 16},
    "rollout": {"encoding": "delta_offset", "page_blocks": 16, "expand": "rollout", "degree": 3},
    "window": {"encoding": "key", "inference": "window", "window": 5, "degree": 2},
    "all streams": {"encoding": "delta_offset", "page_blocks": 16, "per_stream": False, "horizons": [2]},
    "at misses": {"encoding": "key", "trigger": "miss", "hidden": 5},
}
_rng = np.random.default_rng(0)
KEYS = np.concatenate(
    [np.tile(_rng.permutation(40).astype(np.uint64) * np.uint64(8), 4), _rng.integers(0, 400, 80).astype(np.uint64)]
)


@cache
def predictor(name: str) -> LstmPredictor:
    small = {"vocabulary": 60, "hidden": 8, "embedding": 6, "epochs": 2, "window": 16}
    where = {"device": "cpu", "backend": "compiled", "in_gpu_memory": False}
    config = LstmConfig.model_validate({"kind": "lstm", **small, **where, **CASES[name]})
    return LstmPredictor.trained([KEYS], config, horizon=config.horizons[0])


def parts(answer: Answer) -> Any:
    """Not a number equals itself here."""
    return list(answer.keys), list(answer.confidences), answer.predicted_key, str(answer.confidence)


ACCESS = st.sampled_from([*KEYS.tolist(), 0, 2**63 - 1, 2**63, 2**64 - 8, 2**64 - 1])
RUNS = st.lists(
    st.lists(st.tuples(ACCESS, st.integers(0, N_STREAMS - 1)), max_size=4)
    | st.builds(lambda n, s: [(i * 8, s) for i in range(n)], st.integers(250, 300), st.integers(0, N_STREAMS - 1)),
    max_size=30,
)  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@settings(max_examples=15, deadline=None)
@given(runs=RUNS, start=st.integers(0, 159))
def test_answers_are_those_of_the_network_in_python(name: str, runs: Any, start: int) -> None:
    """To the bit, after any accesses, more than a line remembers among them, and about what was shown before."""
    it = predictor(name)
    ours, plain = CompiledLstmPolicy(it, 0.01, N_STREAMS), LstmPolicy(it, 0.01)
    shown: list[tuple[int, int]] = []
    # So many that follow what was trained, for there to be answers.
    runs = [[(int(KEYS[start + i]), 0)] for i in range(min(60, len(KEYS) - start))] + runs
    for run in runs:
        if not (run or shown):
            continue
        about = None if run else shown[0]
        shown = [*run, *shown]
        keys, streams = [key for key, _ in run], [stream for _, stream in run]
        columns = np.array(keys, np.uint64), np.array(streams, np.uint32), np.zeros(len(run), np.uint8)
        asked = [AccessRun(*columns, about=about)]
        found, expected = ours.decide(asked), plain.decide(asked)
        assert parts(found.answers[0]) == parts(expected.answers[0])
        assert found.host_ns > 0


def test_it_answers_at_all() -> None:
    """What the tests above compare is not nothing."""
    for name in CASES:
        policy = CompiledLstmPolicy(predictor(name), 0.0, N_STREAMS)
        one = np.zeros(1, np.uint32), np.zeros(1, np.uint8)
        answers = [policy.decide([AccessRun(KEYS[i : i + 1], *one)]).answers[0] for i in range(100)]
        assert sum(len(answer.keys) for answer in answers) > 50, name


def trace(n: int = 160) -> ListWorkload:
    streams = [i // 4 % N_STREAMS for i in range(n)]
    return workload(KEYS[np.arange(n) % len(KEYS)].tolist(), stream=streams, request=[i // 2 for i in range(n)])


def batched(name: str, timing: Timing | None = None) -> BatchedLstmPolicy:
    it, whole = predictor(name), trace().batch
    lines = whole.stream if it.config.per_stream else np.zeros(len(whole.key), np.int64)
    keys = {int(line): whole.key[lines == line] for line in np.unique(lines)}
    return BatchedLstmPolicy(it, 0.01, N_STREAMS, tables_of(keys, it, torch.device("cpu")), keys, timing=timing)


def everything(
    make: Any, policy: Any, charge: Charge, inference: dict[str, Any], think: str = "2 us", capacity: str = "16 B"
) -> dict[str, Any]:
    """All tables but what clocks said."""
    tier = {"name": "tier", "capacity": capacity, "latency": "1 us"}
    fast = {"read_bandwidth": "1 GB/s", "write_bandwidth": "1 GB/s"}
    system = System.model_validate(
        {"tiers": [{**tier, **fast}], "links": [{"call": "3 us", **fast}], "origin": {"kind": "store"},
         "inference": inference}
    )  # fmt: skip
    sink = ListSink()
    books = Books(sink, 10)
    make(system, Closed.model_validate({"kind": "closed", "think": think}), trace(), policy, charge, books).run()
    found = {f"{t}.{n}": str(c.tolist()) for t in sink.tables for n, c in sink.columns(t).items()}
    return {name: text for name, text in found.items() if name.split(".")[1] not in ("host_ns", "cpu_ns")}


RUNS_OF: list[tuple[Callable[[], Charge], dict[str, Any]]] = [
    (lambda: fixed(0), {}),
    (lambda: fixed(9_000), {"batch_size": 2, "queue_limit": 2}),
    (lambda: sampled(np.array([0, 700, 30_000]), np.random.default_rng(4)), {}),
    (lambda: fixed(20_000), {"queue": "fifo"}),
    (lambda: fixed(500), {"mode": "sync"}),
]  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_run_is_the_same_however_it_asks(name: str) -> None:
    """The model, the engine that asks compiled code, and the engine that asks Python, one by one and beforehand."""
    for charge, inference in RUNS_OF:
        asked = everything(Engine, CompiledLstmPolicy(predictor(name), 0.01, N_STREAMS), charge(), inference)
        made = everything(Model, CompiledLstmPolicy(predictor(name), 0.01, N_STREAMS), charge(), inference)
        python = everything(Engine, LstmPolicy(predictor(name), 0.01), charge(), inference)
        assert asked == made == python
        if predictor(name).config.expand == "rollout":
            continue
        looked_up = everything(Engine, batched(name), charge(), inference)
        # Windows are run by torch, many at once; streams that run apart come in another order than the trace's.
        config = predictor(name).config
        assert looked_up == asked or not (config.is_carried and config.per_stream)
        assert looked_up == everything(Model, batched(name), charge(), inference)
        assert looked_up == everything(Engine, InPython(batched(name)), charge(), inference)


HEARD = Timing(1000, lambda h: 0.0, wrong_ns=20, inference_ns=None, is_sync=False, occupied_ns=300)
"""So little at first that much is fetched, and then heard of: late, evicted in vain, and what that pushed out."""


def test_a_rule_that_hears_is_the_same_however_it_asks() -> None:
    """Its threshold follows what becomes of its proposals, and all hear the same before the same questions."""
    # Of 40 blocks: with fewer, what they push out demand would have pushed out as well.
    of, heard = ("20 us", "40 B"), Counter[str]()
    for name, (charge, inference) in zip(("delta", "page_offset", "all streams"), RUNS_OF, strict=False):
        it = predictor(name)
        policies: list[Any] = [CompiledLstmPolicy(it, 0.0, N_STREAMS, timing=HEARD) for _ in range(3)]
        policies += [LstmPolicy(it, 0.0, timing=HEARD) for _ in range(2)]
        policies += [batched(name, HEARD) for _ in range(3)]
        ways = Engine, Model, Model, Engine, Model, Engine, Model, Engine
        asked = [policies[0], policies[1], InPython(policies[2]), *policies[3:7], InPython(policies[7])]
        found = [everything(make, one, charge(), inference, *of) for make, one in zip(ways, asked, strict=True)]
        # Streams that run apart come in another order than the trace's, along which was predicted beforehand.
        groups = [range(8)] if it.config.per_stream else [range(5), range(5, 8)]
        for group in groups:
            first = group[0]
            assert all(found[i] == found[first] and policies[i].rule.heard == policies[first].rule.heard for i in group)
        heard.update(policies[0].rule.heard)
        deaf = CompiledLstmPolicy(it, HEARD.break_even(), N_STREAMS)
        assert found[0] != everything(Engine, deaf, charge(), inference, *of)
    assert min(heard[name] for name in ("n_timely", "n_late", "n_wrong", "n_polluted")) > 0


def test_what_was_measured_is_replayed() -> None:
    """Recorded by compiled code, charged again through Python: the same run."""
    seen: list[Cost] = []

    def note(decision: Any) -> Cost:
        seen.append(measured(decision))
        return seen[-1]

    first = everything(Engine, CompiledLstmPolicy(predictor("key"), 0.01, N_STREAMS), note, {}, "1 ms")
    assert len(seen) > 50
    assert all(cost.charged_ns == cost.host_ns > 0 for cost in seen)
    left = iter(seen)
    policy = CompiledLstmPolicy(predictor("key"), 0.01, N_STREAMS)
    assert everything(Engine, policy, lambda _: next(left), {}, "1 ms") == first


def measured_run(make: Any, charge: Charge, books: Books, of: Callable[[Any], Any] = lambda it: it) -> None:
    """A question at nearly each access, ``of`` the policy that asks compiled code."""
    tier = {"name": "tier", "capacity": "16 B", "read_bandwidth": "1 GB/s", "write_bandwidth": "1 GB/s"}
    link = {"read_bandwidth": "1 GB/s", "write_bandwidth": "1 GB/s"}
    system = System.model_validate({"tiers": [tier], "links": [link], "origin": {"kind": "store"}})
    closed = Closed.model_validate({"kind": "closed", "think": "1 ms"})
    make(system, closed, trace(), of(CompiledLstmPolicy(predictor("key"), 0.01, N_STREAMS)), charge, books).run()


def test_measured_in_the_engine_is_recorded() -> None:
    """Every batch is charged what its clock said; the CPU's share of it is there, too."""
    sink = ListSink()
    measured_run(Engine, measured, Books(sink, 10))
    rows = sink.columns("inferences")
    done = rows["status"] == Status.ANSWERED
    assert done.sum() > 100
    assert (rows["charged_ns"][done] == rows["host_ns"][done]).all()
    assert (rows["ended_ns"][done] - rows["started_ns"][done] == rows["charged_ns"][done]).all()
    assert (rows["host_ns"][done] > 0).all()
    assert (rows["cpu_ns"][done] > 0).all()


def test_the_threads_time_is_charged_where_no_rows_are_kept() -> None:
    """It is read where it is charged, whoever keeps it."""
    books = Books(None, 10)
    measured_run(Engine, measured_cpu, books)
    assert books.questions.charged.values.min() > 0


def test_python_around_a_question_is_not_charged() -> None:
    """Asked through Python, by engine or model, the same compiled code is timed by the same clock.

    Caches that Python has used meanwhile make it slower, up to twice (docs/lstm.md); were Python itself in the charge,
    as it is where all but the network is Python's, it would be ten times as much. The least of some medians, in turn.
    """
    ways: dict[str, tuple[Any, Callable[[Any], Any]]] = {
        "kernel": (Engine, lambda it: it), "engine": (Engine, InPython), "model": (Model, lambda it: it),
        "all in Python": (Engine, lambda it: LstmPolicy(predictor("key"), 0.01)),
    }  # fmt: skip
    medians = dict.fromkeys(ways, np.inf)
    for _ in range(5):
        for name, (make, of) in ways.items():
            sink = ListSink()
            measured_run(make, measured, Books(sink, 10), of)
            rows = sink.columns("inferences")
            medians[name] = min(medians[name], np.median(rows["host_ns"][rows["status"] == Status.ANSWERED]))
    assert medians["kernel"] / 2 < medians["engine"] < 4 * medians["kernel"]
    assert medians["kernel"] / 2 < medians["model"] < 4 * medians["kernel"]
    assert medians["all in Python"] > 4 * medians["kernel"]


def test_draws_are_those_of_one_by_one() -> None:
    latencies = np.array([5, 7, 11, 13, 17])
    together = sampled(latencies, np.random.default_rng(3)).draw(1000)
    one = sampled(latencies, np.random.default_rng(3))
    assert together.tolist() == [one(_DECISION).charged_ns for _ in range(1000)]


def test_recorded_costs_come_in_their_order_over_and_over() -> None:
    latencies = np.array([5, 7, 11])
    one, together = sampled(latencies, None), sampled(latencies, None)
    assert [one(_DECISION).charged_ns for _ in range(7)] == [5, 7, 11, 5, 7, 11, 5]
    assert [*together.draw(2), *together.draw(3)] == [5, 7, 11, 5, 7]


_DECISION: Any = type("Nothing", (), {"host_ns": 0, "device_ns": 0, "cpu_ns": 0})()
