"""How far calls differ, from durations to a spread (rule R47) and back: a run has the tail that was measured."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.calibration.levels import levels_of
from experiments.calibration.outcome import Outcome, outcome_of, preset_text
from experiments.calibration.rounds import Cell, Measured
from experiments.calibration.spread import SHARES, factors_of, mean_of, spread_of
from experiments.hardware import MEASURED
from experiments.overrides import parse_yaml
from policies.none import NonePolicy
from simulator.accounting import Books
from simulator.config import System
from simulator.engine import Engine
from tests.cases import ARRIVALS
from tests.strategies import FREE, ListSink, system, workload

SIZES = (4096, 65536)


def tailed(ns: float, n: int, seed: int = 0) -> np.ndarray:
    """Three calls in a hundred take 1.5 times as long, one in 2,000 ten times: about what a disk does."""
    rng = np.random.default_rng(seed)
    return ns * np.exp(0.08 * rng.normal(size=n)) * np.where(rng.random(n) < 0.03, 1.5, 1) * np.where(
        rng.random(n) < 0.0005, 10, 1
    )  # fmt: skip


def heavy(n: int) -> np.ndarray:
    """Of five calls in a thousand the mean is some sixty times that of the others, and the largest a thousand times."""
    rng = np.random.default_rng(1)
    is_late = rng.random(n) < 0.005
    return 1000 * np.exp(0.2 * rng.normal(size=n)) * np.where(is_late, 1 + 20 * rng.pareto(1.5, size=n), 1)


@pytest.mark.parametrize("durations", [tailed(300_000, 50_000), heavy(3000), heavy(50_000)], ids=len)
def test_quantiles_are_those_of_the_durations(durations: np.ndarray) -> None:
    points = spread_of(durations)
    assert [share for share, _ in points] == list(SHARES)
    assert mean_of(points) == pytest.approx(1, abs=1e-4)
    # All of them are moved alike, by little: so that the mean is 1.
    of = [factor * durations.mean() / np.quantile(durations, share) for share, factor in points[:-1]]
    assert max(of) / min(of) == pytest.approx(1, abs=1e-3)
    assert of[0] == pytest.approx(1, abs=0.015)


def test_one_call_that_took_forever_moves_nothing_but_the_end() -> None:
    """Of 100,000 calls one takes 10,000 times as long: a line up to it would give a mean beyond 5."""
    durations = np.array([*np.linspace(90.0, 110.0, 100_000), 1e6])
    points = dict(map(tuple, spread_of(durations)))
    mean = durations.mean()
    assert points[0.5] == pytest.approx(100 / mean, rel=0.005)
    assert points[0.999] == pytest.approx(110 / mean, rel=0.005)
    # Of the last thousandth the mean is that of the 100 slowest.
    assert (points[0.999] + points[1]) / 2 == pytest.approx(np.sort(durations)[-100:].mean() / mean, rel=0.01)


@pytest.mark.parametrize(
    ("durations", "points"),
    [
        ([7], [[0, 1], [1, 1]]),
        ([5, 5, 5, 5], [[0, 1], [0.25, 1], [0.5, 1], [0.75, 1], [1, 1]]),
        # On a line: of three, a share of a quarter is no call.
        ([1, 2, 3], [[0, 0.5], [0.5, 1], [1, 1.5]]),
    ],
)  # fmt: skip
def test_few_durations_have_few_points(durations: list[float], points: list[list[float]]) -> None:
    found = spread_of(durations)
    assert [share for share, _ in found] == [share for share, _ in points]
    assert mean_of(found) == pytest.approx(1, abs=1e-4)
    if len(durations) != 3:
        assert found == points


@given(st.lists(st.floats(0, 1e15), min_size=1, max_size=40).filter(any))
def test_whatever_was_measured_is_a_spread(durations: list[float]) -> None:
    machine = system().model_dump(mode="json")
    machine["links"][0]["spread"] = spread_of(durations)
    System.model_validate(machine)


@pytest.mark.parametrize("durations", [[], [0, 0], [-1, 5]])
def test_what_is_no_duration(durations: list[float]) -> None:
    with pytest.raises(ValueError, match="expected durations, got"):
        spread_of(durations)


def test_each_kind_of_call_counts_by_its_own_mean() -> None:
    loads = {(10, 1): [[1, 3], [2, 2]], (20, 1): [[100], [300]], (10, 4): [[9]], (20, 2): [[5, 15]]}
    assert factors_of(loads, 2) == [0.5, 1.5, 1, 1, 0.5, 1.5, 0.5, 1.5]


@pytest.fixture(scope="module")
def found() -> Outcome:
    ways = {"dram service": (40_000, (1,)), "dram fill": (30_000, (1,)), "dram_origin read": (300_000, (1, 2)),
            "dram_origin write": (200_000, (1, 2))}  # fmt: skip
    measured: Measured = {}
    for i, (way, (ns, loads)) in enumerate(ways.items()):
        for k in loads:
            for n_bytes in SIZES:
                # Two at once take twice as long: one channel, and what two take is no more its spread.
                durations = tailed((ns + n_bytes) * k, 8000, seed=10 * i + k).round().astype(int)
                measured[Cell(way, n_bytes, k)] = durations.reshape(4, 2000).tolist()
    return outcome_of(levels_of("dram,file:/x"), [1 << 30], measured, "mean", "auto", spreads=True)


def test_the_preset_has_a_spread_of_each_way(found: Outcome) -> None:
    raw = parse_yaml(preset_text(found, [], {"at": "today"}), "text")
    del raw[MEASURED]
    machine = System.model_validate(raw)
    assert machine == System.model_validate(found.system)
    (tier,), (link,) = machine.tiers, machine.links
    assert link.channels == 1
    assert len({tier.spread, link.spread, link.write_spread}) == 3
    for spread in (tier.spread, link.spread, link.write_spread):
        assert spread is not None
        assert mean_of(spread) == pytest.approx(1, abs=1e-4)


def test_a_run_has_the_mean_and_the_tail_that_were_measured(found: Outcome) -> None:
    """Key after key, each missed and long after that hit: the model's quantiles beside those of the calls."""
    n = 8000
    trace: Any = workload(
        np.repeat(np.arange(n), 2), size_bytes=[SIZES[1]] * 2 * n, time_ns=range(0, 2 * n * 10**8, 10**8)
    )
    Engine(
        System.model_validate(found.system), ARRIVALS.validate_python({"kind": "open"}), trace, NonePolicy(), FREE,
        Books(sink := ListSink(), 10**6),
    ).run()  # fmt: skip
    rows = sink.columns("accesses")
    for way, column, which in (("dram_origin read", "transfer_ns", 0), ("dram service", "latency_ns", 1)):
        took, measured = rows[column][which::2], np.concatenate(found.measured[Cell(way, SIZES[1], 1)])
        assert took.mean() == pytest.approx(measured.mean(), rel=0.02)
        for share in (0.5, 0.9, 0.99):
            assert np.quantile(took, share) == pytest.approx(np.quantile(measured, share), rel=0.05)
        assert np.quantile(took, 0.999) == pytest.approx(np.quantile(measured, 0.999), rel=0.25)
