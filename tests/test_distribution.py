"""Counts of values against sorting them: exact while there are few distinct ones, near where there are many."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.none import NonePolicy
from simulator import distribution, state
from simulator.arrays import Ints
from simulator.closing import close_tally
from simulator.compiled import compiled
from simulator.config import Closed
from simulator.distribution import MOST, Distribution, count
from simulator.engine import Engine
from simulator.records.run import run_at
from simulator.state import Machine
from simulator.trace import make_batch
from tests.strategies import FREE, ListSink, ListWorkload, books, system

CLOSED = Closed.model_validate({"kind": "closed"})
QS = [0.0, 0.1, 0.5, 0.9, 0.999, 1.0]


@compiled
def _count_all(machine: int, values: Ints, first: int) -> int:
    """Count values from number ``first`` on while there is room; which one comes next."""
    run = run_at(machine)
    for i in range(first, len(values)):
        if run.books.slack.n_left == 0:
            return i
        count(run, run.books.slack, values[i])
    return len(values)


def counted_in_a_machine(parts: list[Ints]) -> Distribution:
    """As the engine does it: the machine grows whenever it must, and is read at the end."""
    ledger = books()
    machine = Machine(system(10), CLOSED, NonePolicy(), ledger, 1)
    for part in parts:
        at = 0
        while (at := int(_count_all(machine.address, part, at))) < len(part):
            machine.run.needs.prefetch_rows = 1
            machine.make_room(0)
    close_tally(machine.run, ledger)
    return ledger.slack


def naive(values: list[int], q: float) -> float:
    return float(np.quantile(np.array(values), q, method="inverted_cdf"))


@given(st.lists(st.lists(st.integers(-(2**40), 2**40), max_size=40), max_size=12))
def test_exact(parts: list[list[int]]) -> None:
    values = [value for part in parts for value in part]
    counted = counted_in_a_machine([np.array(part, np.int64) for part in parts])
    assert counted.n == len(values)
    assert dict(zip(counted.values.tolist(), counted.counts.tolist(), strict=True)) == {
        value: values.count(value) for value in values
    }
    if values:
        assert counted.mean() == sum(values) / len(values)
        assert [counted.quantile(q) for q in QS] == [naive(values, q) for q in QS]


def test_counts_outlive_the_growth_of_the_table() -> None:
    # At first there is room for 512 distinct values.
    values = np.concatenate([np.repeat(np.arange(300), 3), np.arange(2000)])
    counted = counted_in_a_machine([values])
    assert counted.values.tolist() == list(range(2000))
    assert counted.counts.tolist() == [4] * 300 + [1] * 1700


def test_many_distinct_values_are_rounded_and_memory_is_bounded() -> None:
    rng = np.random.default_rng(1)
    values = np.rint(rng.lognormal(12, 3, 3_000_000)).astype(np.int64)
    values[::3] *= -1
    counted = counted_in_a_machine(np.array_split(values, 50))
    assert len(np.unique(values)) > 4 * MOST
    assert counted.n == len(values)
    assert counted.mean() == int(values.sum()) / len(values)
    for q in QS:
        exact = naive(values.tolist(), q)
        assert abs(exact) * (1 - 1 / 4096) <= abs(counted.quantile(q)) <= abs(exact)
        assert (counted.quantile(q) < 0) == (exact < 0)
    assert len(counted.values) < MOST
    small = counted.values[np.abs(counted.values) < 2**distribution.DIGITS]
    assert set(small) == set(values[np.abs(values) < 2**distribution.DIGITS])


def test_latencies_of_a_long_run_are_rounded_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    # Sizes that all differ, so that latencies do; the machine's own table against one that is exact.
    sizes = np.arange(20_000, 23_000)
    arguments = (
        system(10**9),
        CLOSED,
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
