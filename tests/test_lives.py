"""Requests that have a life (rule R45), worked by hand in both engines; and what holds for any.

Figures: service 2 ns; a token is computed in 1,000 ns and decoded in 1,000 ns; a block has two; a hop takes 100 ns call
+ 10 ns for its byte + 1 ns from a tier. There is one channel everywhere.
"""

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings

from policies.none import NonePolicy
from policies.queue_time import QueueTimePolicy
from simulator.config import Open, Poisson, System
from simulator.engine import Engine
from simulator.errors import InputError
from simulator.model.model import Model
from simulator.policy import Outcome, Trigger
from simulator.trace import make_batch
from tests.cases import Case, cases
from tests.differential import everything_of
from tests.strategies import FREE, ListSink, ListWorkload, ScriptedPolicy, books, system

HIT, HIT_PREFETCHED, LATE, MERGED, MISS = Outcome
OPEN = Open.model_validate({"kind": "open"})
SPANS = ("waiting_ns", "fetching_ns", "computing_ns", "decoding_ns")
TOKENS = {"prefill": "1000000 tokens/s", "decode": "1000000 tokens/s", "block_tokens": 2}


@pytest.fixture(params=[Engine, Model], ids=["compiled", "model"])
def make(request: pytest.FixtureRequest) -> Any:
    return request.param


def machine(capacity: int = 3, *, running: int = 1, lower: Any = (50,), **more: Any) -> System:
    requests = {"running": running, **TOKENS, **{key: more.pop(key) for key in list(more) if key in _SETTINGS}}
    said = {"origin": {"kind": "compute", "enters": "first"}, **more}
    return system(capacity, lower=lower, requests=requests, **said)


_SETTINGS = ("storage", "stop", "timeout", "answer")


def trace(*requests: tuple[int, str], answers: list[int] | None = None, streams: Any = None) -> ListWorkload:
    """Requests as (time, keys), of which a letter w makes the next one a write, such as "1 2 w9"."""
    keys, times, ops, numbers, of_answer = [], [], [], [], []
    for i, (time, said) in enumerate(requests):
        for word in said.split():
            keys.append(int(word.removeprefix("w")))
            ops.append(int(word.startswith("w")))
            times.append(time)
            numbers.append(i)
            of_answer.append(answers[i] if answers else 0)
    features = {"output_tokens": np.array(of_answer)} if answers else {}
    stream = 0 if streams is None else np.array(streams)[numbers]
    return ListWorkload(make_batch(keys, time_ns=times, op=ops, request=numbers, stream=stream, features=features))


def run(make: Any, system_: System, trace_: Any, policy: Any = None, **more: Any) -> tuple[list[Any], list[Any], Any]:
    """Spans of the requests, by their arrival; (outcome, issued) of the accesses; the books."""
    sink = ListSink()
    ledger = books(sink)
    said = {"prefix_reuse": True, **more}
    make(system_, said.pop("arrivals", OPEN), trace_, policy or NonePolicy(), FREE, ledger, **said).run()
    rows = sink.columns("requests")
    order = np.argsort(rows["access"])
    spans = [tuple(int(rows[name][i]) for name in SPANS) for i in order]
    assert [int(rows["ttft_ns"][i]) for i in order] == [sum(span[:3]) for span in spans]
    return spans, [(r["outcome"], r["issued_ns"]) for r in sink.accesses()], ledger


def test_a_request_waits_is_fetched_computed_and_decoded(make: Any) -> None:
    """The second comes at 100, waits until the first ends at 6,004, finds two blocks and lacks one."""
    spans, accesses, ledger = run(make, machine(), trace((0, "1 2 w9"), (100, "1 2 3 w8")))
    assert spans == [(0, 0, 4002, 2002), (5904, 2, 2002, 2002)]
    assert accesses == [
        (MISS, 0), (MISS, 0), (MISS, 6002),
        (HIT, 6004), (HIT, 6004), (MISS, 6006), (MISS, 10008),
    ]  # fmt: skip
    assert ledger.n_requests == 2
    assert ledger.ttft.total == 4002 + 7908
    assert ledger.spans == {"waiting_ns": 5904, "fetching_ns": 2, "computing_ns": 6004, "decoding_ns": 4004}


def test_two_places(make: Any) -> None:
    """Both begin at once, and share the computing: its queue is one. The third gets the place that is free first."""
    spans, accesses, _ = run(make, machine(running=2), trace((0, "1 2"), (0, "3"), (1, "5")))
    # 1 is computed until 2,000, 2 until 4,000, 3 until 6,000. The third takes the first one's place.
    assert spans == [(0, 0, 4002, 0), (0, 0, 6002, 0), (4001, 0, 3998 + 2, 0)]
    assert [issued for _, issued in accesses] == [0, 0, 0, 4002]


def test_places_are_given_in_the_order_of_arrival(make: Any) -> None:
    spans, accesses, _ = run(make, machine(running=1), trace((0, "1"), (10, "2"), (5000, "3"), (5000, "1")))
    assert [issued for _, issued in accesses] == [0, 2002, 5000, 7002]
    assert [span[0] for span in spans] == [0, 1992, 0, 2002]


def test_what_is_missing_waits_for_what_is_fetched(make: Any) -> None:
    """1 and 2 have gone down, and come up in 111 ns each; only then 7, and 2 behind it, are computed."""
    spans, accesses, ledger = run(make, machine(2), trace((0, "1 2"), (0, "5 6"), (90000, "1 2 7 2")))
    assert spans[2] == (0, 111 + 111 + 2, 2000 + 2000 + 2, 0)
    assert [issued - 90000 for _, issued in accesses[4:]] == [0, 0, 224, 224]
    # Tier 0 has room for two: 2 is there, and of no use.
    assert ledger.n_hits_behind == 1


def test_without_prefixes_all_is_asked_for_at_once(make: Any) -> None:
    spans, accesses, _ = run(make, machine(2), trace((0, "1 2"), (0, "5 6"), (90000, "7 1")), prefix_reuse=False)
    assert [issued - 90000 for _, issued in accesses[4:]] == [0, 0]
    assert spans[2] == (0, 2002, 0, 0)


def test_an_answer_takes_what_the_trace_says(make: Any) -> None:
    """Ten tokens, of which the writes are even parts; a request without writes keeps its place as long."""
    spans, accesses, _ = run(make, machine(9), trace((0, "1 w8 w9"), (0, "1"), (0, "1"), answers=[10, 7, 0]))
    assert [issued for _, issued in accesses] == [0, 2002 + 5000, 2002 + 10000, 12004, 12006 + 7000]
    assert [span[3] for span in spans] == [10002, 7000, 0]


def test_a_block_waits_for_the_one_before_it(make: Any) -> None:
    """Without a time for decoding, a write is issued when the one before is served: here when a backlog lets it."""
    raw = machine(1).model_dump(mode="json")
    raw["requests"]["decode"] = None
    raw["tiers"][0]["write_back"] = {"blocks": 1}
    spans, accesses, _ = run(make, System.model_validate(raw), trace((0, "w1 w2 w3")))
    # 2 pushes out 1, which is written down in 111 ns; until then 3 waits.
    assert accesses == [(MISS, 0), (MISS, 2), (MISS, 4)]
    assert spans == [(0, 0, 0, 2 + 111 + 2)]


def test_a_policy_is_asked_when_a_request_arrives(make: Any) -> None:
    """It is shown what the request reads, as a look-up finds it then, and no accesses."""
    policy = ScriptedPolicy([], 99, Trigger.ARRIVAL)
    run(make, machine(2), trace((0, "1 2"), (0, "5 6 w9"), (5000, "5 1 w3"), (6000, "w7")), policy)
    assert policy.seen == [(1, MISS), (2, MISS), (5, MISS), (6, MISS), (5, MISS), (1, HIT)]
    policy = ScriptedPolicy([], 99, Trigger.ARRIVAL)
    run(make, machine(9), trace((0, "1 2"), (4500, "2 4")), policy)
    assert policy.seen[2:] == [(2, HIT), (4, MISS)]


@pytest.mark.parametrize(("policy", "fetching"), [(None, 111 + 111 + 2), (QueueTimePolicy(None), 2)])
def test_blocks_come_while_a_request_waits(make: Any, policy: Any, fetching: int) -> None:
    """The third comes while the second decodes for 9,000 ns: what it needs is there when its turn comes."""
    came = trace((0, "1 2"), (9000, "3 4 5"), (50000, "6"), (52500, "1 2"), answers=[0, 0, 9, 0])
    spans, accesses, _ = run(make, machine(3), came, policy)
    # 6 is there at 52,002, and its answer takes 9,000.
    assert spans[3] == (61002 - 52500, fetching, 0, 0)
    if policy is not None:
        assert [outcome for outcome, _ in accesses[-2:]] == [HIT_PREFETCHED, HIT_PREFETCHED]


STORED = (0, "1 2"), (9000, "3 4 5"), (50000, "6")
"""After these 1 and 2 are in the second tier alone, and the one place is taken until 52,002 + what 6 is answered."""


@pytest.mark.parametrize(
    ("stop", "timeout", "came", "span", "outcomes"),
    [
        # Its turn comes at once: nothing was sent for before. What is on its way is waited for ...
        ("wait_complete", None, 60000, (0, 224, 0, 0), [LATE, LATE]),
        # ... or computed all the same: 1, and 2 behind it.
        ("best_effort", None, 60000, (0, 0, 4002, 0), [MISS, MISS]),
        # 150 ns are enough for 1 and not for 2, which is on its way then.
        ("timeout", "150 ns", 60000, (0, 152, 2002, 0), [HIT_PREFETCHED, MISS]),
        # 300 ns are enough for both: it goes on when the last has come, not when the time is over.
        ("timeout", "300 ns", 60000, (0, 224, 0, 0), [HIT_PREFETCHED, HIT_PREFETCHED]),
        # It came 150 ns before its turn: 1 has come by then.
        ("best_effort", None, 51852, (150, 2, 2002, 0), [HIT_PREFETCHED, MISS]),
        # The time counts from its arrival: 50 ns are left, and 2 takes 72 more.
        ("timeout", "200 ns", 51852, (150, 52, 2002, 0), [HIT_PREFETCHED, MISS]),
    ],
)  # fmt: skip
def test_when_a_request_goes_on_without_what_prefetches_bring(
    make: Any, stop: str, timeout: str | None, came: int, span: Any, outcomes: Any
) -> None:
    said = {"storage": "tier1", "stop": stop} | ({"timeout": timeout} if timeout else {})
    spans, accesses, _ = run(make, machine(3, **said), trace(*STORED, (came, "1 2")), QueueTimePolicy(None))
    assert spans[3] == span
    assert [outcome for outcome, _ in accesses[-2:]] == outcomes


def test_what_is_in_storage_alone_is_computed(make: Any) -> None:
    """Nobody sends for it; of a middle tier it would be fetched."""
    spans, *_ = run(make, machine(3, storage="tier1"), trace(*STORED, (60000, "1 2")))
    assert spans[3] == (0, 0, 4002, 0)
    spans, *_ = run(make, machine(3, lower=(50, 50), storage="tier2"), trace(*STORED, (60000, "1 2")))
    assert spans[3] == (0, 224, 0, 0)


def test_what_the_budget_refuses_is_computed_for_good(make: Any) -> None:
    """One prefetch at a time: 2 was refused when the request came, and is not asked for again."""
    said = {"storage": "tier1", "prefetch": {"in_flight": 1}}
    spans, accesses, ledger = run(make, machine(3, **said), trace(*STORED, (60000, "1 2")), QueueTimePolicy(None))
    assert [outcome for outcome, _ in accesses[-2:]] == [LATE, MISS]
    assert spans[3] == (0, 113, 2002, 0)
    assert ledger.n_rejected["rejected_budget"] == 1


def test_nothing_is_computed_ahead(make: Any) -> None:
    """1 was there and is in no tier any more: when it is asked for again while another runs, nobody computes it."""
    raw = machine(1, lower=(1,)).model_dump(mode="json")
    raw["tiers"][1]["admission"] = {"kind": "size", "largest": "1 B"}
    come = trace((0, "1"), (9000, "2"), (20000, "3"), (29000, "4"), (30000, "1"))
    _, accesses, ledger = run(make, System.model_validate(raw), come, QueueTimePolicy(None))
    assert accesses[-1] == (MISS, 31002)
    assert ledger.n_rejected["rejected_unknown"] == 5
    assert ledger.n_issued == 0


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases(all_live=True))
def test_what_holds_for_all_lives(case: Case) -> None:
    assert case.system.requests is not None
    found = everything_of(Engine, case)
    columns = {name.partition(".")[2]: eval(text) for name, text in found.items() if name.startswith("requests.")}
    assume(columns)
    rows = sorted(zip(*columns.values(), strict=True))
    lives = [dict(zip(columns, row, strict=True)) for row in rows]
    begins = [life["arrival_ns"] + life["waiting_ns"] for life in lives]
    ends = [begin + sum(life[name] for name in SPANS[1:]) for begin, life in zip(begins, lives, strict=True)]
    assert all(life[name] >= 0 for life in lives for name in SPANS)
    assert all(life["n_found"] <= life["n_read"] for life in lives)
    # First come, first served; never more than there are places.
    assert begins == sorted(begins)
    for begin in begins:
        n_running = sum(one <= begin < end for one, end in zip(begins, ends, strict=True))
        assert n_running <= case.system.requests.running
    first = np.flatnonzero(np.diff(case.batch.request.astype(np.int64), prepend=-1))
    assert [life["access"] for life in lives] == [at for at in first if at >= case.judged_from]
    assert sum(found["spans"].values()) == sum(ends) - sum(life["arrival_ns"] for life in lives)


@pytest.mark.parametrize("later", ["1 2", "7 8"])
def test_what_comes_later_is_not_known(make: Any, later: str) -> None:
    """What is sent for before a request comes does not depend on it: 1, when the one that reads it again comes."""
    sink = ListSink()
    come = trace((0, "1 2"), (9000, "3 4"), (20000, "1"), (30000, later))
    make(machine(2), OPEN, come, QueueTimePolicy(None), FREE, books(sink), prefix_reuse=True).run()
    rows = sink.columns("prefetches")
    before = rows["proposed_ns"] < 30000
    assert list(zip(rows["proposed_ns"][before], rows["key"][before], strict=True)) == [(20000, 1)]


def test_a_poisson_process_gives_requests_their_times(make: Any) -> None:
    arrivals = Poisson.model_validate({"kind": "poisson", "mean_gap": "5 us"})
    spans, accesses, _ = run(make, machine(9), trace((0, "1 2"), (0, "3"), (0, "4")), arrivals=arrivals, seed=1)
    assert accesses[0][1] > 0
    assert [issued for _, issued in accesses] == sorted(issued for _, issued in accesses)
    assert len(spans) == 3


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (lambda make: run(make, machine(), trace((0, "1"), (0, "2"), (0, "1"), streams=[0, 1, 0])), None),
        (lambda make: run(make, machine(), ListWorkload(make_batch([1, 2, 3], request=[5, 6, 5], stream=[0, 1, 0]))),
         "request 5 goes on at access 2"),
        (lambda make: run(make, system(3), trace((0, "1")), QueueTimePolicy(None)), "system.requests: is missing"),
        (lambda make: run(make, machine(storage="tier1"), trace((0, "1")), prefix_reuse=False), "reuse: prefix"),
        (lambda make: run(make, machine(), trace((0, "1"), answers=[2**60])), "an answer of 1152921504606846976"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(make: Any, case: Any, message: str | None) -> None:
    if message is None:
        case(make)
    else:
        with pytest.raises(InputError, match=message):
            case(make)


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        ({"running": 0}, "greater than or equal to 1"),
        ({"running": 1, "prefill": "20000"}, "tokens a second as a string with a unit, such as '20000 tokens/s'"),
        ({"running": 1, "decode": "0 tokens/s"}, "from 0.001"),
        ({"running": 1, "storage": "tier0"}, "expected a tier below the first"),
        ({"running": 1, "storage": "tier1", "stop": "timeout"}, "expected it with stop: timeout, alone"),
        ({"running": 1, "storage": "tier1", "timeout": "1 ms"}, "expected it with stop: timeout, alone"),
        ({"running": 1, "stop": "best_effort"}, "goes with storage"),
    ],
)
def test_settings_that_are_wrong_are_refused(requests: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        system(3, lower=[9], origin={"kind": "compute", "per_mib": "1 ms"}, requests=requests)


@pytest.mark.parametrize(
    ("origin", "requests", "message"),
    [
        ({"kind": "store"}, {"running": 1, "prefill": "5 tokens/s", "block_tokens": 1}, "origin that computes"),
        ({"kind": "store"}, {"running": 1, "storage": "tier1"}, "origin that computes"),
        ({"kind": "compute"}, None, "per_mib is missing"),
        ({"kind": "compute"}, {"running": 1}, "per_mib is missing"),
    ],
)
def test_prefill_goes_with_computing(origin: Any, requests: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        system(3, lower=[9], origin=origin, requests=requests)


def test_a_feature_that_was_named_and_is_not_there_is_refused(make: Any) -> None:
    """The default may be missing: an answer is then as long as its blocks. A name that somebody wrote is meant."""
    requests = trace((0, "1 w2"), answers=[4])
    assert run(make, machine(), requests)[0][0][3] == 4002
    with pytest.raises(InputError, match="answer: 'output_length' is no feature of the trace"):
        run(make, machine(answer="output_length"), requests)
