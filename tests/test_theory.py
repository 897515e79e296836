"""Queueing theory: the link under Poisson misses is an M/D/1 queue; and what policies cannot change."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.none import NonePolicy
from simulator.accounting import Books, BooksError
from simulator.config import Poisson
from simulator.distribution import Distribution
from simulator.engine import Engine
from simulator.units import ceil_div, parse_bytes, parse_bytes_per_s, parse_ns, transfer_ns
from tests.strategies import FREE, books, system, workload


@pytest.mark.parametrize("load", [0.3, 0.7])
def test_link_is_an_m_d_1_queue(load: float) -> None:
    """Every access misses (all keys differ); service of 110 ns; mean wait by Pollaczek-Khinchine."""
    n, service = 200_000, 110
    ledger = books()
    arrivals = Poisson.model_validate({"kind": "poisson", "mean_gap": f"{round(service / load)} ns"})
    Engine(system(5), arrivals, workload(np.arange(n)), NonePolicy(), FREE, ledger, seed=1).run()
    rho = service / round(service / load)
    expected = rho * service / (2 * (1 - rho))
    mean_wait = ledger.sums[9] / n
    # Batch means say that 200,000 arrivals leave about 1 % of error at this load.
    assert mean_wait == pytest.approx(expected, rel=0.04)


@given(st.lists(st.lists(st.integers(0, 50), min_size=1), max_size=8), st.floats(0.01, 1))
def test_distribution_is_exact(parts: list[list[int]], q: float) -> None:
    ours = Distribution()
    for part in parts:
        ours.add(np.array(part, np.int64))
    values = sorted(value for part in parts for value in part)
    assert ours.n == len(values)
    if values:
        assert ours.quantile(q) == values[max(math.ceil(q * len(values)), 1) - 1]
        assert ours.mean() == pytest.approx(sum(values) / len(values))
    else:
        assert math.isnan(ours.mean())


def test_broken_books_are_an_error() -> None:
    ledger = Books(None, 10)
    hit = np.array([[0], [0], [0], [7], [0], [0], [0], [5], [5], [0], [0], [0]], np.int64)
    empty = hit[:, :0]
    ledger.flush(hit, empty)
    ledger.check(n_issued_accesses=1, bytes_started=[], bytes_queued=[], tiers=[(3, 1, 2, 2)])
    for wrong in (
        {"n_issued_accesses": 2, "tiers": []},
        {"n_issued_accesses": 1, "tiers": [(3, 1, 1, 1)]},
        {"n_issued_accesses": 1, "tiers": [(3, 1, 2, 1)]},
    ):
        with pytest.raises(BooksError, match="do not close"):
            ledger.check(bytes_started=[], bytes_queued=[], **wrong)  # type: ignore[arg-type]
    ledger.n_proposed = 1
    with pytest.raises(BooksError, match="proposed 1"):
        ledger.check(n_issued_accesses=1, bytes_started=[], bytes_queued=[], tiers=[])
    hit[7] = 6
    with pytest.raises(BooksError, match="R18"):
        ledger.flush(hit, empty)


def test_units() -> None:
    assert parse_bytes("64 MiB") == 64 * 2**20
    assert parse_bytes("1.5KB") == 1500
    assert parse_ns("7 us") == 7000
    assert parse_ns("0.5 ms") == 500_000
    assert parse_bytes_per_s("25 GB/s") == 25 * 10**9
    # 4 KiB at 25 GB/s are 163.84 ns; a transfer never takes less than it should.
    assert transfer_ns(4096, 25 * 10**9) == 164
    assert ceil_div(10, 5) == 2


@given(st.integers(0, 10**15), st.integers(1, 10**9))
def test_ceil_div_rounds_up(a: int, b: int) -> None:
    assert (ceil_div(a, b) - 1) * b < a <= ceil_div(a, b) * b
