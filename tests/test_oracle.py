"""The oracle: what it wants, by hand, and that nothing is faster where it has time and room."""

from typing import Any

import numpy as np
import pytest

from policies.given import Accesses, Demand, Given
from policies.registry import POLICIES
from simulator.config import Closed
from simulator.demand import accesses_from, savable
from simulator.engine import Engine
from simulator.policy import Fate, Told
from simulator.trace import Workload
from tests.strategies import FREE, books, system, workload
from tests.test_policy_tables import ask, check


def oracle(keys: list[int], *, k: int = 256, room: int = 1000, streams: Any = None, writes: Any = ()) -> Any:
    """The accesses numbered by ``writes`` are no reads."""
    n = len(keys)
    reads = ~np.isin(np.arange(n), list(writes))
    stream = np.zeros(n, np.uint32) if streams is None else np.array(streams, np.uint32)
    known = Demand(np.array(keys, np.uint64), stream, reads, room)
    given = Given(lambda p: [], 0, future=lambda: known, n_streams=int(stream.max()) + 1)
    return POLICIES.validate({"kind": "oracle", "k": k}).build(given).policy


def test_it_wants_what_is_read_next_and_not_what_is_written_first() -> None:
    """Of three blocks that come. 4 is written before it is read: once that is over it may have been pushed out."""
    policy = oracle([1, 2, 1, 3, 4, 5, 4], k=3, writes=[4])
    check(policy, [(1, [2, 3]), (2, [1, 3]), (1, [3, 5]), (3, [5]), (4, [5]), (5, [4]), (4, [])])


def test_it_looks_as_far_as_half_of_tier_0() -> None:
    check(oracle(list(range(20)), room=10), [(0, [1, 2, 3, 4, 5]), (1, [2, 3, 4, 5, 6])])


def test_the_nearest_are_wanted_again_the_others_once() -> None:
    policy = oracle(list(range(100)), k=40)
    check(policy, [(0, list(range(1, 41))), (1, [*range(2, 18), 41]), (2, [*range(3, 19), 42])])


def test_it_looks_less_far_where_what_it_fetched_is_pushed_out() -> None:
    """From 12 blocks an eighth less each time, down to one; then a block more for 64 that were used."""
    policy = oracle(list(range(300)), k=12)
    policy.told(Told([7] * 3, [Fate.EVICTED_UNUSED] * 3))
    assert len(ask(policy, 0)) == 8
    policy.told(Told([7] * 60, [Fate.EVICTED_UNUSED] * 60))
    assert ask(policy, 1) == [2]
    policy.told(Told([7] * 63, [Fate.TIMELY] * 63))
    assert ask(policy, 2) == [3]
    policy.told(Told([7], [Fate.LATE]))
    assert ask(policy, 3) == [4, 5]
    policy.told(Told([7] * 10_000, [Fate.TIMELY] * 10_000))
    assert len(ask(policy, 4)) == 12


def test_what_a_stream_that_lags_needs_is_wanted_when_it_asks() -> None:
    """Streams take turns in the trace; in the run stream 0 has been served three times, stream 1 not at all."""
    policy = oracle([0, 100, 1, 101, 2, 102, 3, 103, 4, 104], k=4, streams=[0, 1] * 5)
    assert ask(policy, 0, stream=0) == [100, 1, 101, 2]
    # Stream 1 lags from here on: its first access is over in the trace, and was not shown.
    assert ask(policy, 1, stream=0) == [2, 3, 4]
    assert ask(policy, 2, stream=0) == [3, 4]
    assert ask(policy, 100, stream=1) == [101, 102, 103, 104, 3, 4]


def _requests() -> dict[str, Any]:
    """Of 1 to 30 blocks, which miss all at once."""
    lengths = np.random.default_rng(1).integers(1, 30, 150)
    return {"request": np.repeat(np.arange(150), lengths)}


_ZIPF = (np.random.default_rng(2).zipf(1.2, 1500) % 1000).tolist()
PATTERNS: dict[str, Workload] = {
    "scan": workload(range(1500)),
    "a loop that does not fit": workload([*range(130)] * 10),
    "a chase": workload(np.random.default_rng(3).permutation(300).tolist() * 5),
    "few keys again and again, some of them written": workload(_ZIPF, op=[i % 3 == 0 for i in range(1500)]),
    "runs of written blocks": workload(range(1500), op=[i % 20 < 15 for i in range(1500)]),
    "long requests": workload(range(len(_requests()["request"])), **_requests()),
}
OTHERS: list[dict[str, Any]] = [
    {"kind": "none"}, {"kind": "next_n", "n": 4}, {"kind": "next_n", "n": 32, "trigger": "access"}, {"kind": "amp"},
    {"kind": "markov", "trigger": "access"}, {"kind": "stride"}, {"kind": "linux_readahead"},
]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("lower", [(), (300,)])
def test_no_policy_is_faster(pattern: str, lower: tuple[int, ...]) -> None:
    """With LRU, channels enough, and time to think."""
    trace, placed = PATTERNS[pattern], {"placement": "exclusive", "clean_evictions": "demote"} if lower else {}
    machine = system(100, lower=lower, channels=8, **placed)
    arrivals = Closed.model_validate({"kind": "closed", "think": "300 ns"})
    accesses = accesses_from(trace, 0)
    known = Demand(accesses.key, accesses.stream, savable(accesses, machine), 100)
    seen = Accesses(accesses.key, np.zeros(len(accesses.key), bool), {"stream": accesses.stream})

    def mean(settings: dict[str, Any]) -> float:
        policy = POLICIES.validate(settings).build(Given(lambda p, n=(): [seen], 0, future=lambda: known)).policy
        ledger = books()
        Engine(machine, arrivals, trace, policy, FREE, ledger).run()
        return float(ledger.latency.mean())

    best = mean({"kind": "oracle"})
    assert all(best <= mean(other) for other in OTHERS)
