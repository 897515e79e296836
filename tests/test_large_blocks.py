"""Blocks of 4 GiB and more, up to 1 TiB: worked by hand, and both engines on the same random runs."""

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.peer import write_oracle_general
from simulator.compiled import CHECKED, compiled
from simulator.config import System
from simulator.durations import call_ns, slowed
from simulator.engine import Engine
from simulator.errors import InputError
from simulator.model.model import Model
from simulator.policy import Outcome
from simulator.trace import MOST_BYTES, make_batch
from simulator.units import PPM
from tests.cases import Case, Wishes, cases
from tests.differential import assert_same, everything_of
from tests.strategies import workload
from tests.test_rules import run
from workloads.sizes import sizes_of
from workloads.statistics import statistics_of

ENGINES: list[Any] = [Engine, Model]
GIB = 2**30
EXAMPLES = 10 if CHECKED else 50
HIT, HIT_PREFETCHED, LATE, MERGED, MISS = Outcome


def machine(*capacities: str, **others: Any) -> System:
    """Everything moves 1 GiB a second; a hop takes 100 ns, a tier 1 ns."""
    rate = {"read_bandwidth": "1 GiB/s", "write_bandwidth": "1 GiB/s"}
    tiers = [{"name": f"t{i}", "capacity": c, "latency": "1 ns", **rate} for i, c in enumerate(capacities)]
    links = [{"call": "100 ns", **rate}] * len(tiers)
    return System.model_validate({"tiers": tiers, "links": links, "origin": {"kind": "store"}, **others})


@pytest.mark.parametrize("make", ENGINES)
def test_a_tier_that_holds_one_and_not_the_other(make: Any) -> None:
    # Key 0 has 5 GiB: fetched in 5 s, served in 5 s, a hit from then on. Key 1 has a byte less than 1 TiB, which tier 0
    # never holds: 1024 s each way, less a byte, rounded up; the byte is 0.93 ns. Key 2 fits beside key 0, with 1 GiB.
    five, whole, one = 5 * 10**9, 1024 * 10**9, 10**9
    sizes = [5 * GIB, 2**40 - 1, 5 * GIB, 2**40 - 1, GIB, 5 * GIB]
    rows, ledger, _ = run(make, machine("6 GiB"), workload([0, 1, 0, 1, 2, 0], size_bytes=sizes), think="0 ns")
    taken = [(outcome, latency) for outcome, _, latency, _, _ in rows]
    assert taken == [
        (MISS, 100 + five + 1 + five), (MISS, 100 + whole + 1 + whole), (HIT, 1 + five),
        (MISS, 100 + whole + 1 + whole), (MISS, 100 + one + 1 + one), (HIT, 1 + five),
    ]  # fmt: skip
    assert (ledger.n_bypassed, ledger.resident_bytes, ledger.n_evicted) == (2, 6 * GIB, 0)
    assert ledger.end_ns == sum(latency for _, latency in taken)


@pytest.mark.parametrize("make", ENGINES)
def test_a_lower_tier_that_holds_it(make: Any) -> None:
    # Key 1 comes from the origin by two hops, and the second time from the tier below, by one; a hop up from a tier
    # takes that tier's 1 ns more.
    whole, sizes = 1024 * 10**9, [2**40 - 1, 5 * GIB, 2**40 - 1]
    rows, _, _ = run(make, machine("6 GiB", "2 TiB"), workload([1, 0, 1], size_bytes=sizes), think="0 ns")
    assert [(outcome, latency) for outcome, _, latency, _, _ in rows] == [
        (MISS, 100 + whole + 101 + whole + 1 + whole),
        (MISS, 100 + 5 * 10**9 + 101 + 5 * 10**9 + 1 + 5 * 10**9),
        (MISS, 101 + whole + 1 + whole),
    ]


@pytest.mark.parametrize("make", ENGINES)
def test_written_down(make: Any) -> None:
    """A dirty block of 5 GiB goes down when another comes, and its bytes are counted."""
    trace = workload([0, 1, 2], size_bytes=[5 * GIB] * 3, op=[1, 1, 0])
    rows, ledger, _ = run(make, machine("6 GiB"), trace, think="100 s")
    assert [latency for _, _, latency, _, _ in rows] == [1 + 5 * 10**9, 1 + 5 * 10**9, 100 + 5 * 10**9 + 1 + 5 * 10**9]
    assert ledger.bytes_asked == [[5 * GIB, 0, 10 * GIB]]


def scaled(case: Case, factor: int, rate: int) -> Case:
    """Blocks, tiers, limits and budgets so many times as large; what moves them ``rate`` times as fast."""

    def times(text: str, by: int) -> str:
        number, unit = text.split()
        return f"{int(number) * by} {unit}"

    raw = case.system.model_dump(mode="json")
    for part in (*raw["tiers"], *raw["links"]):
        for name in ("read_bandwidth", "write_bandwidth"):
            part[name] = times(part[name], rate)
    for tier in raw["tiers"]:
        tier["capacity"] = times(tier["capacity"], factor)
        for of, name in ((tier["admission"], "largest"), (tier["write_back"], "bytes")):
            if of.get(name) is not None:
                of[name] = times(of[name], factor)
    raw["prefetch"]["bytes"] = times(raw["prefetch"]["bytes"], factor)
    batch = replace(case.batch, size_bytes=case.batch.size_bytes * factor)
    return replace(case, system=System.model_validate(raw), batch=batch)


def same_or_refused(case: Case) -> None:
    found: list[Any] = []
    for make in ENGINES:
        try:
            found.append(everything_of(make, case))
        except InputError as error:
            found.append({"refused": str(error)})
    assert_same(*found)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(cases(), st.sampled_from([2**32, 5 * GIB + 1, 2**38 - 1, 2**40 // 3]), st.sampled_from([1, 1000, 10**5, 10**8]))
def test_both_engines(case: Case, factor: int, rate: int) -> None:
    most = max(int(tier.read_bandwidth) for tier in case.system.tiers)
    same_or_refused(scaled(case, factor, min(rate, (2**62 - 1) // most)))


@compiled
def _slowed(ns: int, ppm: int) -> int:
    return slowed(ns, ppm)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 2**50), st.integers(1, 2**62 - 1) | st.integers(2**52, 2**55), st.integers(0, 10**15))
def test_durations_are_exact(n_bytes: int, rate: int, ns: int) -> None:
    exact = math.ceil(Fraction(n_bytes * 10**9, rate))
    if exact < 2**62:
        assert call_ns(0, 0, rate, 0, 0, n_bytes) == exact
    for ppm in (PPM, 1_500_000, 1000 * PPM):
        assert _slowed(ns, ppm) == math.ceil(Fraction(ns * ppm, PPM))


@pytest.mark.parametrize("make", ENGINES)
@pytest.mark.parametrize("size", [0, -1, MOST_BYTES, 2**62])
def test_a_size_that_none_can_have_is_refused(make: Any, size: int) -> None:
    with pytest.raises(InputError, match=f"access 1 has size {size}; expected a positive number of bytes below"):
        run(make, machine("6 GiB"), workload([0, 1], size_bytes=[1, size]), Wishes([1], 9, 0, 0))


def test_statistics_add_up() -> None:
    sizes = np.array([2**40 - 1, 5 * GIB, 2**40 - 1, 3])
    trace = workload([7, 8, 7, 9], size_bytes=sizes)
    found = statistics_of(trace.batches(), 2)
    summary = found.summary()
    assert (summary["n_bytes"], summary["smallest_bytes"], summary["largest_bytes"]) == (sum(sizes), 3, 2**40 - 1)
    assert summary["unique_bytes"] == 2**40 - 1 + 5 * GIB + 3
    assert [row["working_set_bytes"] for row in found.working_set()] == [2**40 - 1 + 5 * GIB, 2**40 - 1 + 3]
    assert sizes_of(workload([7, 7, 8], size_bytes=[1, 2**40 - 1, 4])).widest == (7, 1, 2**40 - 1)


def test_the_peer_s_format_does_not_hold_them(tmp_path: Any) -> None:
    with pytest.raises(InputError, match="sizes below 4 GiB, the trace has 4,294,967,296 bytes"):
        write_oracle_general(make_batch([1], size_bytes=[2**32]), tmp_path / "t")
