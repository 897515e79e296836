"""Estimates of what the system makes of a prefetch, against tables worked by hand."""

from collections import OrderedDict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.aiming import estimate, lru_hits
from simulator.config import Closed, Open, Poisson, System
from simulator.trace import make_batch
from tests.strategies import ListWorkload

RATE = {"read_bandwidth": "1 TB/s", "write_bandwidth": "1 TB/s"}


def system(**changes: Any) -> System:
    """Tier 0 of 2 blocks and a tier of 3 blocks of 1000 bytes; a hop takes 100 + 10 ns, or 100 + 100 + 1000 ns."""
    base: dict[str, Any] = {
        "tiers": [
            {"name": "hbm", "capacity": "2000 B", "latency": "5 ns", **RATE},
            {"name": "dram", "capacity": "3000 B", "latency": "0 ns", **RATE},
        ],
        "links": [
            {"call": "100 ns", "read_bandwidth": "100 GB/s", "write_bandwidth": "100 GB/s"},
            {"call": "100 ns", "read_bandwidth": "10 GB/s", "write_bandwidth": "10 GB/s"},
        ],
        "origin": {"kind": "store", "latency": "1 us"},
    }
    return System.model_validate({**base, **changes})


def closed(think: str) -> Closed:
    return Closed.model_validate({"kind": "closed", "think": think})


def workload(keys: list[int], **columns: Any) -> ListWorkload:
    return ListWorkload(make_batch(keys, size_bytes=1000, **columns), 4)


CYCLE_OF_3 = [0, 1, 2] * 20


def test_a_cycle_that_fits_below() -> None:
    """LRU of 2 never hits a cycle of 3; LRU of 3 misses its first three of 60. All judged accesses are left unread."""
    trace = workload([*CYCLE_OF_3, *range(100, 160)])
    found = estimate(trace, 60, system(), closed("1 us"), per_stream=True, inference_ns=7)
    from_dram, from_origin = 110, 110 + 1200
    fetch = (57 * from_dram + 3 * from_origin) / 60
    assert found.fetch_ns == pytest.approx(fetch)
    gap = found.lead_ns(1)
    assert gap == pytest.approx(1000 + 5 + 1 + fetch)
    assert found.lead_ns(3) == pytest.approx(3 * gap)
    assert found.inference_ns == 7
    assert not found.is_sync
    # Nothing is hit, so nothing can be lost by pollution; what is left is waiting for half of a transfer.
    assert found.wrong_ns == pytest.approx(110 / gap * 110 / 2 + 1 * 1200 / 2)


def test_another_channel_spares_the_wait() -> None:
    """Two channels below: a demand waits only if the other one is busy, which it is half as often as there is load."""
    links = [
        {"call": "100 ns", "read_bandwidth": "100 GB/s", "write_bandwidth": "100 GB/s"},
        {"call": "100 ns", "read_bandwidth": "10 GB/s", "write_bandwidth": "10 GB/s", "channels": 2},
    ]
    found = estimate(
        workload(list(range(60))), 60, system(links=links), closed("10 us"), per_stream=True, inference_ns=0
    )
    gap = 10_000 + 5 + 1 + 1310
    load = 1200 / gap
    assert found.wrong_ns == pytest.approx(110 / gap * 110 / 2 + load * (load / 2) * 1200 / 2)


def test_exclusive_tiers_add_up() -> None:
    """A cycle of 5 fits into 2 + 3 blocks where no block is in both."""
    keys = [0, 1, 2, 3, 4] * 12
    apart = estimate(workload(keys), 60, system(placement="exclusive"), closed("0 ns"), per_stream=True, inference_ns=0)
    copied = estimate(workload(keys), 60, system(), closed("0 ns"), per_stream=True, inference_ns=0)
    assert apart.fetch_ns == pytest.approx((55 * 110 + 5 * 1310) / 60)
    assert copied.fetch_ns == pytest.approx(1310)


def test_pollution_is_what_a_smaller_cache_would_miss() -> None:
    """Two keys in turn fit into two blocks and into nothing less: 58 of 60 hits hang on the last tenth of the cache."""
    trace = workload([0, 1] * 30)
    found = estimate(trace, 60, system(), closed("1 ms"), per_stream=True, inference_ns=0)
    assert found.fetch_ns == pytest.approx(1310)
    # More than one access lost for each place taken would be more than there is: all of a fetch, and no more.
    assert found.wrong_ns == pytest.approx(1310, rel=0.01)


def test_pollution_below_its_bound() -> None:
    """Keys 0 and 1 with a new key after each pair: a cache of 3 blocks hits 38 of 60, one of 2.7 (two whole) none.

    22 accesses insert. One of the 38 is a read: a place lost costs (1/60) / 0.1 / (22/60) of a fetch.
    """
    keys = [key for i in range(20) for key in (0, 1, 100 + i)]
    machine = system(tiers=[{"name": "hbm", "capacity": "3000 B", "latency": "5 ns", **RATE}], links=[
        {"call": "100 ns", "read_bandwidth": "100 GB/s", "write_bandwidth": "100 GB/s", "channels": 9}
    ])  # fmt: skip
    ops = [1] * 60
    ops[30] = 0  # key 0, the only read
    found = estimate(workload(keys, op=ops), 60, machine, closed("1 ms"), per_stream=True, inference_ns=0)
    assert found.fetch_ns == 1110
    assert found.wrong_ns == pytest.approx((1 / 60) / 0.1 / (22 / 60) * 1110)


def test_writes_are_no_loss() -> None:
    """Nothing but writes: there is no fetch to gain and none to delay."""
    trace = workload(list(range(60)), op=[1] * 60)
    assert estimate(trace, 60, system(), closed("0 ns"), per_stream=True, inference_ns=0).wrong_ns == 0


def test_a_request_goes_on_past_another_stream_s() -> None:
    """Two streams with requests of two accesses each, numbered alike: the same lead one after another and in turn."""
    request = [i // 4 for i in range(60)]
    leads = [
        estimate(workload(list(range(60)), stream=stream, request=request), 60, system(), closed("1 us"),
                 per_stream=True, inference_ns=0).lead_ns(1)
        for stream in ([0, 0, 1, 1] * 15, [0, 1, 0, 1] * 15)
    ]  # fmt: skip
    # All 60 accesses miss; half of thinking and of a latency for each.
    assert leads == [pytest.approx((1000 + 5 + 1 + 1310) / 2)] * 2


@pytest.mark.parametrize(
    ("arrivals", "per_stream", "expected"),
    [
        (Open.model_validate({"kind": "open"}), False, 50),
        (Open.model_validate({"kind": "open", "speedup": 2.0}), False, 25),
        (Open.model_validate({"kind": "open"}), True, 100),
        (Poisson.model_validate({"kind": "poisson", "mean_gap": "30 ns"}), False, 30),
        (Poisson.model_validate({"kind": "poisson", "mean_gap": "30 ns"}), True, 60),
    ],
)
def test_time_between_accesses(arrivals: Any, per_stream: bool, expected: float) -> None:
    trace = workload([0] * 60, time_ns=[50 * i for i in range(60)], stream=[i % 2 for i in range(60)])
    found = estimate(trace, 60, system(), arrivals, per_stream=per_stream, inference_ns=None)
    assert found.lead_ns(1) == pytest.approx(expected)
    assert found.inference_ns is None


def test_bursts_are_told_from_pauses() -> None:
    """Three accesses at a time, 1 ms apart: the next one usually comes at once, the third after that in 1 ms."""
    trace = workload([0] * 60, time_ns=[10**6 * (i // 3) for i in range(60)])
    found = estimate(trace, 60, system(), Open.model_validate({"kind": "open"}), per_stream=True, inference_ns=0)
    assert [found.lead_ns(h) for h in (1, 3, 6, 100)] == [0, 10**6, 2 * 10**6, float("inf")]


def test_requests_of_several_blocks_share_a_gap() -> None:
    trace = workload([0] * 60, request=[i // 3 for i in range(60)])
    mean_gap = Poisson.model_validate({"kind": "poisson", "mean_gap": "30 ns"})
    assert estimate(trace, 60, system(), mean_gap, per_stream=True, inference_ns=0).lead_ns(1) == 10


def test_blocks_made_in_tier_0_do_not_travel() -> None:
    made = {"kind": "compute", "per_mib": "1 ms", "enters": "first"}
    found = estimate(
        workload(list(range(60))), 60, system(origin=made), closed("0 ns"), per_stream=True, inference_ns=0
    )
    assert found.fetch_ns == -(-1000 * 10**6 // 2**20)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.integers(1, 12))
def test_lru_of_units(keys: list[int], capacity: int) -> None:
    """An access hits if fewer than ``capacity`` other keys came since its last one."""
    hits = odd_hits = 0
    for i, key in enumerate(keys):
        if key in keys[:i]:
            since = keys[max(j for j in range(i) if keys[j] == key) + 1 : i]
            is_hit = len(OrderedDict.fromkeys(since)) < capacity
            hits += is_hit
            odd_hits += is_hit and i % 2 == 1
    odd = [i % 2 == 1 for i in range(len(keys))]
    assert lru_hits(keys, [1] * len(keys), odd, capacity) == pytest.approx((hits / len(keys), odd_hits / len(keys)))
