"""Counts of values against sorting them: exact while there are few distinct ones, near where there are many."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.none import NonePolicy
from simulator import distribution, state
from simulator.config import Closed
from simulator.distribution import MOST, Distribution
from simulator.engine import Engine
from simulator.trace import make_batch
from tests.strategies import FREE, ListSink, ListWorkload, books, system

QS = [0.0, 0.1, 0.5, 0.9, 0.999, 1.0]


def naive(values: list[int], q: float) -> float:
    return float(np.quantile(np.array(values), q, method="inverted_cdf"))


@given(st.lists(st.lists(st.integers(-(2**40), 2**40), max_size=40), max_size=12))
def test_exact(parts: list[list[int]]) -> None:
    counted, values = Distribution(), [value for part in parts for value in part]
    for part in parts:
        counted.add(np.array(part, np.int64))
    assert counted.n == len(values)
    assert dict(zip(counted.values.tolist(), counted.counts.tolist(), strict=True)) == {
        value: values.count(value) for value in values
    }
    if values:
        assert counted.mean() == sum(values) / len(values)
        assert [counted.quantile(q) for q in QS] == [naive(values, q) for q in QS]


def test_many_distinct_values_are_rounded_and_memory_is_bounded() -> None:
    rng = np.random.default_rng(1)
    values = np.rint(rng.lognormal(12, 3, 3_000_000)).astype(np.int64)
    counted = Distribution()
    for part in np.array_split(values, 50):
        counted.add(part)
    assert len(np.unique(values)) > 4 * MOST
    assert counted.n == len(values)
    assert counted.mean() == int(values.sum()) / len(values)
    for q in QS:
        exact = naive(values.tolist(), q)
        assert exact * (1 - 1 / 4096) <= counted.quantile(q) <= exact
    assert len(counted.values) < MOST
    small = counted.values[counted.values < 2**distribution.DIGITS]
    assert set(small) == set(values[values < 2**distribution.DIGITS])


def test_latencies_of_a_long_run_are_rounded_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    # Sizes that all differ, so that latencies do; the machine's own table against one that is exact.
    sizes = np.arange(20_000, 23_000)
    arguments = (
        system(10**9),
        Closed.model_validate({"kind": "closed"}),
        ListWorkload(make_batch(range(3000), size_bytes=sizes), 500),
    )
    found = []
    for most in (1 << 18, 1000):
        monkeypatch.setattr(state, "MOST", most)
        ledger = books(ListSink())
        Engine(*arguments, NonePolicy(), FREE, ledger).run()
        found.append(ledger.latency)
    exact, near = found
    assert len(exact.values) == 3000
    assert near.n == 3000
    assert len(near.values) < 1100
    assert near.mean() == exact.mean()
    for q in QS:
        assert exact.quantile(q) * (1 - 1 / 4096) <= near.quantile(q) <= exact.quantile(q)
