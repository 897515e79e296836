"""Statistics of comparisons: against SciPy, arch, naive loops, textbook numbers; and their promises kept."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from experiments.compare import COMPARED, compare
from experiments.compare.seeds import Difference, over_seeds
from experiments.compare.verdict import BETTER, NOT_SHOWN, TOO_FEW, WORSE, holm, n_to_settle, verdict
from experiments.compare.within import block_length, moving_block_means, mser5, within
from experiments.metrics import run_metrics
from policies.next_n import NextNPolicy
from simulator.charge import sampled
from simulator.config import Closed, System
from simulator.engine import Engine
from simulator.seeds import generator
from tests.strategies import ListSink, books, workload
from tests.test_experiment import call, config, table, write

ALPHA = 0.05


def test_over_seeds_is_the_paired_t_test() -> None:
    a, b = [5.0, 7.0, 6.5, 9.0, 4.0], [4.0, 5.0, 6.0, 7.5, 4.5]
    found = over_seeds([x - y for x, y in zip(a, b, strict=True)])
    expected = stats.ttest_rel(a, b)
    assert (found.n, found.mean) == (5, pytest.approx(0.9))
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))
    assert found.effect_size == pytest.approx(expected.statistic / math.sqrt(5))
    assert found.low < found.bca_low < found.mean < found.bca_high < found.high


def test_over_seeds_without_spread() -> None:
    assert math.isnan(over_seeds([3.0]).low)
    same = over_seeds([0.0, 0.0, 0.0])
    assert (same.mean, same.low, same.high, same.p_value) == (0, 0, 0, 1)
    always = over_seeds([-2.0, -2.0])
    assert (always.mean, always.low, always.high, always.p_value) == (-2, -2, -2, 0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200))
def test_mser5_against_a_naive_loop(values: list[float]) -> None:
    """The same objective at the point that is chosen, whatever rounding does to ties."""
    means = [sum(values[i : i + 5]) / 5 for i in range(0, len(values) // 5 * 5, 5)]
    found = mser5(np.array(values))
    if len(means) < 4:
        assert found == 0
        return

    def error(cut: int) -> float:
        rest = means[cut:]
        centre = math.fsum(rest) / len(rest)
        return math.fsum((x - centre) ** 2 for x in rest) / len(rest) ** 2

    best = min(range(len(means) - 3), key=error)
    scale = max(abs(x) for x in means) ** 2
    if best <= len(means) // 2 and found < len(means) // 2 * 5:
        assert error(found // 5) <= error(best) + 1e-9 * scale
    assert found % 5 == 0
    assert found <= len(values) / 2


def test_mser5_cuts_a_warm_up_and_nothing_else() -> None:
    rng = np.random.default_rng(1)
    settled = rng.normal(10, 1, 2000)
    assert mser5(np.concatenate([np.full(150, 90.0), settled])) == 150
    assert mser5(settled) <= 200
    assert mser5(np.full(1000, 3.0)) == 0


def autoregressive(rng: np.random.Generator, n: int, rho: float) -> Any:
    from scipy.signal import lfilter

    return lfilter([1], [1, -rho], rng.normal(size=n + 200))[200:]


def test_moving_blocks_equal_those_of_arch() -> None:
    from arch.bootstrap import MovingBlockBootstrap

    values = autoregressive(np.random.default_rng(3), 1000, 0.8)
    ours = moving_block_means(values, 20, 4000, np.random.default_rng(0))
    theirs = np.array([data[0][0].mean() for data in MovingBlockBootstrap(20, values, seed=1).bootstrap(4000)])
    assert ours.mean() == pytest.approx(theirs.mean(), abs=4 * theirs.std() / math.sqrt(4000) * math.sqrt(2))
    assert ours.std() == pytest.approx(theirs.std(), rel=0.06)


def test_dependence_makes_longer_blocks() -> None:
    rng = np.random.default_rng(0)
    assert block_length(rng.normal(size=5000)) <= 5
    assert block_length(autoregressive(rng, 5000, 0.9)) > 20


@pytest.mark.slow
def test_the_interval_within_a_run_covers_as_often_as_it_says() -> None:
    """Differences with a correlation of 0.7 from one to the next; an interval that ignores it would cover 60 %."""
    rng = np.random.default_rng(5)
    n_covered, n = 0, 200
    for _ in range(n):
        found = within(autoregressive(rng, 3000, 0.7), np.zeros(3000))
        assert found is not None
        n_covered += found.low <= 0 <= found.high
    assert 0.88 <= n_covered / n <= 0.99


def test_within_needs_enough_requests_and_cuts_at_the_later_warm_up() -> None:
    rng = np.random.default_rng(2)
    assert within(rng.normal(size=150), rng.normal(size=150)) is None
    late = np.concatenate([np.full(300, 50.0), rng.normal(10, 1, 2000)])
    found = within(late, rng.normal(10, 1, 2300))
    assert found is not None
    assert found.n_warm_up is not None
    assert 300 <= found.n_warm_up <= 330
    assert found.n == 2300 - found.n_warm_up
    assert abs(found.mean) < 0.15


def test_holm_by_hand() -> None:
    """0.01 x 4, 0.02 x 3, 0.03 x 2 (not below the one before), 0.5; a NaN stays and does not count."""
    assert holm([0.01, 0.5, math.nan, 0.03, 0.02]) == pytest.approx([0.04, 0.5, math.nan, 0.06, 0.06], nan_ok=True)
    assert holm([]) == []
    assert all(map(math.isnan, holm([math.nan, math.nan])))


def test_holm_is_that_of_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    rng = np.random.default_rng(4)
    for n in (1, 2, 5, 12):
        # Some of them equal, some so large that they end at 1.
        p_values = np.round(rng.random(n) ** 3, 2)
        assert holm(p_values.tolist()) == pytest.approx(multipletests(p_values, ALPHA, "holm")[1].tolist())


def test_verdicts() -> None:
    def difference(low: float, high: float) -> Difference:
        return Difference(10, (low + high) / 2, low, high, p_value=0.2)

    assert verdict(difference(-5, -1), 0.01, 100, lower_is_better=True) == BETTER
    assert verdict(difference(-5, -1), 0.01, 100, lower_is_better=False) == WORSE
    assert verdict(difference(1, 5), 0.01, 100, lower_is_better=True) == WORSE
    # Up to one in a hundred of the baseline is no difference worth finding; more cannot be excluded.
    assert verdict(difference(-0.5, 0.9), 0.3, 100, lower_is_better=True) == NOT_SHOWN
    assert verdict(difference(-0.5, 1.1), 0.3, 100, lower_is_better=True) == TOO_FEW
    # Shown for itself, but not among so many arms.
    assert verdict(difference(0.1, 3), 0.08, 100, lower_is_better=True) == TOO_FEW


def test_sample_size_is_that_of_the_textbook() -> None:
    """Cohen: a paired t-test finds half a standard deviation with 34 pairs, at 5 % and 80 %."""
    n = 20
    half = stats.t.ppf(0.975, n - 1) / math.sqrt(n)
    found = Difference(n, 0.5, 0.5 - half, 0.5 + half, p_value=0.04)
    assert n_to_settle(found, 0.0) == 34
    # A difference below what is relevant is not sought: one of a hundredth of the baseline is.
    assert n_to_settle(Difference(n, 0.001, 0.001 - half, 0.001 + half, p_value=0.9), 50.0) == 34
    assert n_to_settle(Difference(1, 0.5), 1.0) is None


# -- through the engine --------------------------------------------------------------------------------
FAST = {"read_bandwidth": "1 TB/s", "write_bandwidth": "1 TB/s"}
CLOSED = Closed.model_validate({"kind": "closed", "think": "10 us"})


def system(call_ns: int) -> System:
    return System.model_validate(
        {
            "tiers": [{"name": "hbm", "capacity": "40 B", **FAST}],
            "links": [{"call": f"{call_ns} ns", **FAST}],
            "origin": {"kind": "store"},
            "inference": {"mode": "sync"},
        }
    )


def run(arm: str, seed: int, n: int, call_ns: int = 10_000) -> tuple[dict[str, Any], ListSink]:
    """A policy whose thinking takes a random time, another one in each arm: all that differs between two arms alike."""
    keys = generator(seed, "test").integers(0, 80, n)
    latencies = np.random.default_rng(0).lognormal(8, 0.5, 1000).astype(np.int64)
    sink = ListSink()
    ledger = books(sink)
    policy = NextNPolicy(trigger="miss")
    machine = system(call_ns)
    charge = sampled(latencies, generator(seed, "charge", arm))
    engine = Engine(machine, CLOSED, workload(keys.tolist()), policy, charge, ledger)
    result = engine.run()
    return {"arm": arm, "seed": seed, **run_metrics(ledger, result, machine)}, sink


def experiment(number: int, n_seeds: int, n: int, call_ns: int = 10_000) -> dict[str, Any]:
    rows = [run("a", 1000 * number + s, n)[0] for s in range(n_seeds)]
    rows += [run("b", 1000 * number + s, n, call_ns)[0] for s in range(n_seeds)]
    (row,) = compare([{name: row[name] for name in ("arm", "seed", "mean_latency_ns")} for row in rows], "a")
    return row


@pytest.mark.slow
def test_the_same_policy_twice_is_told_apart_as_often_as_is_nominal() -> None:
    n = 200
    rejected = sum(experiment(i, 5, 200)["p_holm"] < ALPHA for i in range(n))
    low, high = stats.binom.interval(0.99, n, ALPHA)
    assert low <= rejected <= high


@pytest.mark.slow
def test_the_same_policy_twice_within_a_run() -> None:
    """A run each, compared request by request. The normal p-value of a bootstrap may be a little small: up to 8 %."""
    n, rejected = 200, 0
    for i in range(n):
        found = within(*(_latencies(run(arm, i, 600)[1]) for arm in ("a", "b")))
        assert found is not None
        rejected += found.p_value < ALPHA
    assert stats.binom.ppf(0.005, n, ALPHA) <= rejected <= stats.binom.ppf(0.995, n, 0.08)


def _latencies(sink: ListSink) -> Any:
    columns = sink.columns("accesses")
    return columns["latency_ns"][np.argsort(columns["access"])].astype(float)


@pytest.mark.slow
def test_a_planted_difference_is_found_with_the_power_computed_beforehand() -> None:
    """Two per cent more latency, by a slower link; the power from the spread of differences in a pilot."""
    from statsmodels.stats.power import TTestPower

    n_seeds, n_experiments, n = 5, 100, 200
    pilot = [run("a", s, n)[0]["mean_latency_ns"] - run("b", s, n)[0]["mean_latency_ns"] for s in range(90000, 90100)]
    base = np.mean([run("a", s, n)[0]["mean_latency_ns"] for s in range(90000, 90020)])
    miss_ratio = 1 - run("a", 90000, n)[0]["hit_ratio"]
    slower = round(10_000 + 0.02 * base / miss_ratio)
    power = TTestPower().power(0.02 * base / np.std(pilot, ddof=1), n_seeds, ALPHA)
    assert 0.2 < power < 0.99
    found = [experiment(i, n_seeds, n, slower) for i in range(n_experiments)]
    assert np.mean([row["relative_difference_ratio"] for row in found]) == pytest.approx(0.02, abs=0.004)
    n_found = sum(row["verdict"] == WORSE for row in found)
    # Power is a guess from a pilot: a tenth either way beside the binomial interval.
    low = stats.binom.ppf(0.005, n_experiments, max(power - 0.1, 0))
    high = stats.binom.ppf(0.995, n_experiments, min(power + 0.1, 1))
    assert low <= n_found <= high


# -- the table --------------------------------------------------------------------------------
def test_the_table_of_an_experiment(tmp_path: Path) -> None:
    path, out = write(tmp_path, config()), tmp_path / "out"
    result = call(path, "--out", out)
    assert result.exit_code == 0, result.output
    found = table(out, "comparisons.parquet")
    assert set(found["arm"]) == {"next_n", "lstm"}
    over = found[found["basis"] == "seeds"]
    assert set(over["metric"]) <= set(COMPARED)
    assert (over["n_pairs"] == 2).all()
    inside = found[found["basis"] == "trace"]
    assert set(inside["seed"]) == {0, 1}
    assert set(inside["metric"]) == {"request_latency_ns"}
    assert (inside["n_pairs"] + inside["n_warm_up"] == 600).all()
    # The mean of the differences of requests is that of the runs, but for the warm-up that is cut.
    assert set(found["verdict"]) <= {BETTER, WORSE, NOT_SHOWN, TOO_FEW}
    lstm = inside[inside["arm"] == "lstm"]
    assert set(lstm["verdict"]) == {BETTER}
    assert "better" in result.output


def test_one_seed_is_judged_by_its_requests(tmp_path: Path) -> None:
    path, out = write(tmp_path, config(seeds=[0])), tmp_path / "out"
    result = call(path, "--out", out)
    assert "over requests" in result.output
    found = table(out, "comparisons.parquet").set_index(["arm", "metric"])
    assert found.loc[("lstm", "mean_latency_ns"), "verdict"] == TOO_FEW
    assert found.loc[("lstm", "request_latency_ns"), "verdict"] == BETTER
