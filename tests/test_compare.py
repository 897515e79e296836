"""Statistics of comparisons: against SciPy, arch, naive loops, textbook numbers; and their promises kept."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from experiments.compare import COMPARED, compare
from experiments.compare.seeds import Difference, over_seeds
from experiments.compare.table import unpaired
from experiments.compare.unpaired import welch
from experiments.compare.verdict import BETTER, NOT_SHOWN, TOO_FEW, WORSE, holm, n_to_settle, power_of, verdict
from experiments.compare.warm_up import mser5
from experiments.compare.within import block_length, moving_block_means, optimal_block_length, within
from experiments.metrics import run_metrics
from policies.next_n import NextNPolicy
from simulator.charge import sampled
from simulator.config import Closed, System
from simulator.engine import Engine
from simulator.seeds import generator
from tests.strategies import ListSink, books, workload
from tests.test_experiment import call, config, table, write
from tests.test_requests import tabled

ALPHA = 0.05


def test_over_seeds_is_the_paired_t_test() -> None:
    a, b = [5.0, 7.0, 6.5, 9.0, 4.0], [4.0, 5.0, 6.0, 7.5, 4.5]
    found = over_seeds([x - y for x, y in zip(a, b, strict=True)])
    expected = stats.ttest_rel(a, b)
    assert (found.n, found.mean) == (5, pytest.approx(0.9))
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-12)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()), rel=1e-12)
    assert found.effect_size == pytest.approx(expected.statistic / math.sqrt(5))
    assert found.low < found.bca_low < found.mean < found.bca_high < found.high


@given(*[st.lists(st.integers(-(10**6), 10**6), min_size=2, max_size=8, unique=True)] * 2)
def test_welch_is_scipys(a: list[int], b: list[int]) -> None:
    found = welch(a, b)
    assert found.mean == pytest.approx(np.mean(a) - np.mean(b), abs=1e-6)
    expected = stats.ttest_ind(a, b, equal_var=False)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-6, abs=1e-12)
    interval = expected.confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-6, abs=1e-6)


def test_samples_without_a_spread_show_nothing() -> None:
    assert math.isnan(welch([3.0], [1.0, 2.0]).p_value)
    assert math.isnan(welch([3.0, 3.0], [1.0, 1.0]).p_value)
    assert welch([3.0, 3.0], [3.0, 3.0]).p_value == 1.0
    # Seeds that all came out the same, as on a recorded trace, are one sample.
    same = {seed: [{"mean_latency_ns": 5.0, "seed": seed}] for seed in (1, 2, 3)}
    other = {seed: [{"mean_latency_ns": 5.0 + seed, "seed": seed}] for seed in (4, 5, 6)}
    [(_, found, *_)] = unpaired("x", "x", other, same)
    assert (found.n, found.mean) == (1, 5.0)
    assert math.isnan(found.p_value)


def test_the_bca_interval_is_efron_s() -> None:
    """Once more, of resamples of our own: from the median's bias and the jackknife's skewness (Efron 1987)."""
    values = np.array([0.0, 0, 1, 2, 10, 3, 0, 30])
    means = np.random.default_rng(1).choice(values, (200_000, len(values))).mean(axis=1)
    # As many below as above the mean, ties by half.
    bias = stats.norm.ppf(((means < values.mean()).mean() + (means <= values.mean()).mean()) / 2)
    apart = values.mean() - (values.sum() - values) / (len(values) - 1)
    skewness = (apart**3).sum() / (6 * (apart**2).sum() ** 1.5)
    z = bias + stats.norm.ppf([0.025, 0.975])
    low, high = np.quantile(means, stats.norm.cdf(bias + z / (1 - skewness * z)))
    found = over_seeds(values.tolist())
    assert (found.bca_low, found.bca_high) == pytest.approx((low, high), rel=0.05)
    # No other interval would do: percentiles end at a fifth less.
    assert np.quantile(means, 0.975) < 0.85 * high
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=9999, confidence_level=0.95, method="BCa", rng=np.random.default_rng(0)
    ).confidence_interval
    assert (found.bca_low, found.bca_high) == pytest.approx((theirs.low, theirs.high), rel=1e-12)


def test_over_seeds_without_spread() -> None:
    assert math.isnan(over_seeds([3.0]).low)
    same = over_seeds([0.0, 0.0, 0.0])
    assert (same.mean, same.low, same.high, same.p_value) == (0, 0, 0, 1)
    always = over_seeds([-2.0, -2.0])
    assert (always.mean, always.low, always.high, always.p_value) == (-2, -2, -2, 0)
    # Apart by rounding alone, which SciPy warns of.
    nearly = over_seeds([1e6, 1e6 + 2e-10, 1e6])
    assert (nearly.p_value, nearly.low, nearly.high) == (0, nearly.mean, nearly.mean)
    assert over_seeds([1e6, 1e6 + 1, 1e6]).low < 1e6


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200))
def test_mser5_against_a_naive_loop(values: list[float]) -> None:
    """The same objective at the point that is chosen, whatever rounding does to ties."""
    means = [sum(values[i : i + 5]) / 5 for i in range(0, len(values) // 5 * 5, 5)]
    found, has_settled = mser5(np.array(values))
    if len(means) < 4:
        assert (found, has_settled) == (0, True)
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
    assert mser5(np.concatenate([np.full(150, 90.0), settled])) == (150, True)
    assert mser5(settled)[0] <= 200
    assert mser5(np.full(1000, 3.0)) == (0, True)


def of_means(means: list[float]) -> Any:
    """Five values for each, which differ among themselves."""
    return np.concatenate([mean + np.array([-2.0, 1, 0, 3, -2]) for mean in means])


@pytest.mark.parametrize(
    ("means", "cut"),
    [
        # Eight means. d = 3 leaves 1 2 1 2 1, variance 0.24, over 5: 0.048. d = 4: 0.25 / 4; d = 2: 8.22 / 6.
        ([9, 9, 9, 1, 2, 1, 2, 1], 15),
        # The error, not the spread: d = 1 leaves 0.2449 / 7 = 0.035; d = 3 has the least variance, 0.24, over 5.
        ([0, 1, 2, 1, 2, 1, 2, 1], 5),
        # Least at d = 7 of twelve: it never settled, and half is cut.
        ([9, 8, 9, 8, 9, 8, 9, 1, 2, 1, 2, 1], 30),
        # The last three say nothing, however alike: d = 0 has 2.48 / 8 = 0.31, d = 4 (1 2 5 5) 3.19 / 4.
        ([1, 2, 1, 2, 1, 2, 5, 5], 0),
        # Four are enough (d = 0 only), three are too few.
        ([9, 1, 1, 1], 0),
        ([9, 1, 1], 0),
    ],
)
def test_mser5_by_hand(means: list[float], cut: int) -> None:
    # Of these, only one never settled.
    expected = cut, cut < 30
    assert mser5(of_means(means)) == expected
    # What does not fill a five is not looked at.
    assert mser5(np.concatenate([of_means(means), [1e6] * 4])) == expected


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


class Drawn:
    """Draws what it is told to."""

    def __init__(self, *draws: list[int]) -> None:
        self.draws = list(draws)

    def integers(self, n: int, size: tuple[int, int]) -> Any:
        assert (n, size) == (4, (2, 3))
        return np.array(self.draws)


def test_means_of_moving_blocks_by_hand() -> None:
    """Blocks of two of 1 2 4 8 16: 3, 6, 12, 24. Three of them are six values, (3 + 24 + 6) / 6."""
    rng: Any = Drawn([0, 3, 1], [2, 2, 2])
    assert moving_block_means(np.array([1.0, 2, 4, 8, 16]), 2, 2, rng).tolist() == [5.5, 6.0]


@pytest.mark.parametrize("n", [200, 333, 2001])
def test_resamples_are_the_same_drawn_singly_and_many_at_once(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit, where the last part is a smaller one, too."""
    values, length = np.random.default_rng(n).lognormal(10, 2, n), 3
    sums = np.concatenate([[0.0], np.cumsum(values)])
    blocks, n_blocks, rng = sums[length:] - sums[:-length], -(-n // length), np.random.default_rng(1)
    singly = [blocks[rng.integers(len(blocks), size=n_blocks)].sum() / (n_blocks * length) for _ in range(50)]
    for at_once in (1, 7 * n_blocks, 1 << 18):
        monkeypatch.setattr("experiments.compare.within._DRAWS_AT_ONCE", at_once)
        assert moving_block_means(values, length, 50, np.random.default_rng(1)).tolist() == singly


def test_the_interval_within_a_run_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 41 means 0, 1, 4, ..., 1600 the 2.5 % and 97.5 % quantiles are the second and the last but one, 1 and 1521.

    They lie around their own mean, 540: the basic interval of the difference 500 is 500 + 540 - 1521 to 500 + 540 - 1.
    Their standard deviation is the error: (sum k^4 - 41 * 540^2) / 40 = (21781332 - 11955600) / 40 = 245643.3.
    """
    asked: list[tuple[int, int, int]] = []

    def means(values: Any, length: int, n_resamples: int, rng: Any) -> Any:
        asked.append((len(values), length, n_resamples))
        return np.arange(41.0)[::-1] ** 2

    monkeypatch.setattr("experiments.compare.within.moving_block_means", means)
    arm = np.tile([600.0, 602, 601, 599, 598], 80)
    found = within(arm, np.full(400, 100.0))
    assert found is not None
    assert (found.n, found.n_repeats, found.mean) == (400, 1, 500)
    assert found.method == "moving blocks of requests"
    assert (found.low, found.high) == (500 + 540 - 1521, 500 + 540 - 1)
    assert found.p_value == pytest.approx(2 * stats.norm.sf(500 / math.sqrt(9825732 / 40)))
    assert found.effect_size == pytest.approx(500 / math.sqrt(2 * 400 / 399))
    assert asked == [(400, block_length(arm - 100), 2000)]


def test_dependence_makes_longer_blocks() -> None:
    rng = np.random.default_rng(0)
    assert block_length(rng.normal(size=5000)) <= 5
    assert block_length(autoregressive(rng, 5000, 0.9)) > 20


# Of about 1, 10**-6 and 10**9; independent, alternating, slowly wandering, whole numbers, a wave, a step.
@given(
    seed=st.integers(0, 2**32), n=st.sampled_from([9, 10, 13, 50, 200, 333, 2000]),
    scale=st.sampled_from([1, 1e-6, 1e9]), rho=st.sampled_from([0.0, -0.5, -0.9, 0.3, 0.95, 1.0]),
    shape=st.sampled_from(["plain", "whole", "wave", "step"]),
)  # fmt: skip
@example(seed=0, n=2000, scale=1, rho=0.999, shape="plain")
def test_the_block_length_is_that_of_arch(seed: int, n: int, scale: float, rho: float, shape: str) -> None:
    from arch.bootstrap import optimal_block_length as theirs

    rng = np.random.default_rng(seed)
    values = {
        "plain": lambda: autoregressive(rng, n, rho) * scale,
        "whole": lambda: np.round(autoregressive(rng, n, rho)),
        "wave": lambda: np.sin(np.arange(n) * rng.uniform(0, 3)),
        "step": lambda: np.repeat([0.0, scale], [n // 3, n - n // 3]),
    }[shape]()
    if np.ptp(values) == 0:
        return
    with np.errstate(all="ignore"):
        expected = theirs(values).iloc[0].tolist()
    found = [optimal_block_length(values, stationary=True), optimal_block_length(values)]
    assert found == pytest.approx(expected, rel=1e-9, nan_ok=True)


def test_the_block_length_by_hand() -> None:
    """Twelve values 0 0 0 0 0 0 1 1 1 1 1 1, less a half: R(k) n = 3, 2.25, 1.5, 0.75, 0, -0.75, -1.5, -1.25, -1, ...

    The band is 2 sqrt(log10(12) / 12) = 0.600. Of overlapping stretches (one shorter than the lag's at each end, by
    the program's habit) the correlations are 3/2.75, 2.25/2.5, 1.5/2.25, 0.75/2, 0, -0.75/1.5 and then -1.5/1.25: not
    five in a row, so M is ceil(sqrt(12)) + 5 = 9. Weights: 1 up to lag 4, then 8/9, 6/9, 4/9, 2/9 and 0.
    s n = 3 + 2 (2.25 + 1.5 + 0.75 + 0 - 0.75 * 8/9 - 1.5 * 6/9 - 1.25 * 4/9 - 2/9) = 7.11;
    g n = 2 (2.25 + 3 + 2.25 + 0 - 3.75 * 8/9 - 9 * 6/9 - 8.75 * 4/9 - 8 * 2/9) = -15.
    ((2 g^2) / (4/3 s^2) 12) ** (1/3) = 4.31, but at most 12/3 = 4.
    """
    values = np.repeat([0.0, 1.0], 6)
    r = [3, 2.25, 1.5, 0.75, 0, -0.75, -1.5, -1.25, -1]
    w = [1, 1, 1, 1, 1, 8 / 9, 6 / 9, 4 / 9, 2 / 9]
    s = r[0] + 2 * sum(a * b for a, b in zip(r[1:], w[1:], strict=True))
    g = 2 * sum(k * a * b for k, (a, b) in enumerate(zip(r, w, strict=True)))
    assert (2 * g**2 / (4 / 3 * s**2) * 12) ** (1 / 3) > 4
    assert optimal_block_length(values) == 4
    assert optimal_block_length(values, stationary=True) == pytest.approx((g**2 / s**2 * 12) ** (1 / 3))


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


def test_within_needs_enough_requests_and_takes_all_that_are_judged() -> None:
    """What is slow at first counts as all else: what is warm-up is the experiment's to say, for all arms alike."""
    rng = np.random.default_rng(2)
    assert within(rng.normal(size=199), rng.normal(size=199)) is None
    assert within(rng.normal(size=200), rng.normal(size=200)) is not None
    late, base = np.concatenate([np.full(300, 50.0), rng.normal(10, 1, 2000)]), rng.normal(10, 1, 2300)
    for arm, baseline in ((late, base), (base, late)):
        found = within(arm, baseline)
        assert found is not None
        assert found.n == 2300
        assert found.mean == pytest.approx((arm - baseline).mean())


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


@given(n=st.integers(2, 10**9), size=st.floats(-6, 2).map(lambda x: 10**x))
@example(n=2, size=16 / math.sqrt(2))
@example(n=10, size=38 / math.sqrt(10))
def test_power_is_that_of_statsmodels(n: int, size: float) -> None:
    """Where that is a number: in the examples it is NaN."""
    from statsmodels.stats.power import TTestPower

    expected = float(TTestPower().power(size, n, ALPHA))
    if not math.isnan(expected):
        assert power_of(size, n) == pytest.approx(expected, abs=1e-10)
        assert power_of(-size, n) == power_of(size, n)


def test_power_in_the_corners() -> None:
    # Two pairs, T = (Z + 16) / |Z'| against 12.7: E of Phi(16 - 12.7 |z'|), by quadrature. statsmodels says NaN.
    critical = stats.t.isf(ALPHA / 2, 1)
    z = np.linspace(0, 10, 200_001)
    by_hand = np.trapezoid(stats.norm.cdf(16 - critical * z) * 2 * stats.norm.pdf(z), z)
    assert power_of(16 / math.sqrt(2), 2) == pytest.approx(by_hand, abs=1e-7)
    # Nothing to find: as often as it is wrong. Anything huge: always.
    assert power_of(0, 5) == pytest.approx(ALPHA)
    assert power_of(1e300, 2) == power_of(math.inf, 2) == pytest.approx(1)
    steps = [power_of(shift / math.sqrt(7), 7) for shift in np.arange(0, 60, 0.25)]
    assert (np.diff(steps) > -1e-9).all()
    # At the edges of the search: two pairs, and more than anyone has.
    huge, tiny = (Difference(20, d, d - 1e-3, d + 1e-3, p_value=0.5) for d in (1e9, 1e-12))
    assert n_to_settle(huge, 0.0) == 2
    assert n_to_settle(tiny, 0.0) == 10**9


def test_sample_size_is_that_of_the_textbook() -> None:
    """Cohen: a paired t-test finds half a standard deviation with 34 pairs, at 5 % and 80 %."""
    n = 20
    half = stats.t.ppf(0.975, n - 1) / math.sqrt(n)
    found = Difference(n, 0.5, 0.5 - half, 0.5 + half, p_value=0.04)
    assert n_to_settle(found, 0.0) == 34
    # Within a run the interval is a normal one, of blocks.
    half = stats.norm.ppf(0.975) / math.sqrt(n)
    assert n_to_settle(Difference(n, 0.5, 0.5 - half, 0.5 + half, p_value=0.04, block_length=3), 0.0) == 34
    half = stats.t.ppf(0.975, n - 1) / math.sqrt(n)
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
    n = 100
    rejected = sum(experiment(i, 5, 200)["p_holm"] < ALPHA for i in range(n))
    low, high = stats.binom.interval(0.99, n, ALPHA)
    assert low <= rejected <= high


@pytest.mark.slow
def test_the_same_policy_twice_within_a_run() -> None:
    """A run each, compared request by request. The normal p-value of a bootstrap may be a little small: up to 8 %."""
    n, rejected = 100, 0
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

    n_seeds, n_experiments, n = 5, 60, 200
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


def test_a_row_of_the_table_by_hand() -> None:
    """Three seeds, two arms; seed 3 has no baseline. t(0.975, 2) = 4.3027.

    Hit ratios of 0.2, 0.4, 0.6 and, in arm b, 0.3, 0.5, 0.8: differences 0.1, 0.1, 0.2, mean 0.1333, standard deviation
    0.05774, half-width 4.3027 * 0.05774 / sqrt(3) = 0.1434; p = 0.0572 of t = 4. Arm c is below as b is above: both p
    are doubled by Holm's correction.
    """
    rows = [
        {"arm": arm, "seed": seed, **dict.fromkeys(COMPARED, value)}
        for arm, values in {"b": [0.3, 0.5, 0.8, 9], "a": [0.2, 0.4, 0.6], "c": [0.1, 0.3, 0.4]}.items()
        for seed, value in enumerate(values)
    ]
    table = {(row["arm"], row["metric"]): row for row in compare(rows, "a")}
    assert set(table) == {(arm, metric) for arm in "bc" for metric in COMPARED}
    for arm, sign in (("b", 1), ("c", -1)):
        row = table[arm, "hit_ratio"]
        assert (row["baseline"], row["basis"], row["seed"], row["n_pairs"]) == ("a", "seeds", None, 3)
        assert (row["n_repeats"], row["method"], row["block_length"]) == (1, "paired t over seeds", None)
        assert row["baseline_mean"] == pytest.approx(0.4)
        assert row["difference"] == pytest.approx(sign * 0.4 / 3)
        assert row["relative_difference_ratio"] == pytest.approx(sign / 3)
        middle, half = sign * 0.4 / 3, 4.30265 * math.sqrt(0.01 / 3) / math.sqrt(3)
        assert (row["low"], row["high"]) == pytest.approx((middle - half, middle + half), rel=1e-5)
        assert row["effect_size"] == pytest.approx(sign * 4 / math.sqrt(3))
        assert (row["p_value"], row["p_holm"]) == pytest.approx((0.05719, 0.11438), rel=1e-3)
        assert row["verdict"] == TOO_FEW
        # Power of 80 % for d = 2.309: 4 pairs.
        assert row["n_to_settle"] == 4
        assert row["low"] < row["bca_low"] < row["difference"] < row["bca_high"] < row["high"]


def test_a_row_of_a_run_by_hand(tmp_path: Path) -> None:
    """600 requests of an access each, all of which count: 100 of 9,000 ns, then 1,000 and 1,200; the arm 40 ns less."""
    base = np.concatenate([np.full(100, 9000), np.tile([1000, 1200, 1200, 1000], 125)])
    noise = np.random.default_rng(0).integers(-5, 6, 600)
    for arm, latency in (("a", base), ("b", base - 40 + noise)):
        tabled(tmp_path, {"access": range(600), "request": range(600), "latency_ns": latency}, arm)
    (row,) = compare([{"arm": "a", "seed": 0}, {"arm": "b", "seed": 0}], "a", tmp_path)
    assert (row["metric"], row["basis"], row["seed"]) == ("request_latency_ns", "trace", 0)
    assert (row["n_pairs"], row["n_repeats"], row["method"]) == (600, 1, "moving blocks of requests")
    assert row["baseline_mean"] == pytest.approx((100 * 9000 + 500 * 1100) / 600)
    assert row["difference"] == pytest.approx(-40 + noise.mean())
    assert row["verdict"] == BETTER
    # An arm of other requests is not compared with.
    tabled(tmp_path, {"access": range(599), "request": range(599), "latency_ns": base[1:]}, "b")
    assert compare([{"arm": "a", "seed": 0}, {"arm": "b", "seed": 0}], "a", tmp_path) == []


def test_less_is_better_but_of_hits_and_coverage() -> None:
    more = {"a": 1.0, "b": 2.0}
    # With something that differs between seeds: else they would be one sample.
    rows = [{"arm": arm, "seed": s, **dict.fromkeys(COMPARED, more[arm] + s / 100)} for arm in more for s in (0, 1)]
    better = {row["metric"] for row in compare(rows, "a") if row["verdict"] == BETTER}
    assert better == {"hit_ratio", "coverage_ratio"}
    assert {row["verdict"] for row in compare(rows, "a")} == {BETTER, WORSE}


# -- the table --------------------------------------------------------------------------------
def test_the_table_of_an_experiment(tmp_path: Path) -> None:
    # Arrivals that are drawn: of a cycle in a closed loop both seeds may come out the same, and be one sample.
    drawn = {**config()["workload"], "arrivals": {"kind": "poisson", "mean_gap": "1 ms"}}
    path, out = write(tmp_path, config(workload=drawn)), tmp_path / "out"
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
    assert (inside["n_pairs"] == 600).all()
    assert set(over["method"]) == {"paired t over seeds"}
    assert (found["n_repeats"] == 1).all()
    assert set(found["verdict"]) <= {BETTER, WORSE, NOT_SHOWN, TOO_FEW}
    lstm = inside[inside["arm"] == "lstm"]
    assert set(lstm["verdict"]) == {BETTER}
    assert "better" in result.output
    assert "paired difference (paired t over seeds)" in " ".join(result.output.split())


def test_one_seed_is_judged_by_its_requests(tmp_path: Path) -> None:
    path, out = write(tmp_path, config(seeds=[0])), tmp_path / "out"
    result = call(path, "--out", out)
    assert "paired difference (moving blocks of requests)" in " ".join(result.output.split())
    found = table(out, "comparisons.parquet").set_index(["arm", "metric"])
    assert found.loc[("lstm", "mean_latency_ns"), "verdict"] == TOO_FEW
    assert found.loc[("lstm", "request_latency_ns"), "verdict"] == BETTER


def test_seeds_that_are_one_run_are_one_sample() -> None:
    """Three seeds of a recorded trace, the same to the last figure; one of b that differs makes them three again."""
    rows = [
        {"arm": arm, "seed": seed, **dict.fromkeys(COMPARED, value)}
        for arm, value in (("a", 2.0), ("b", 3.0))
        for seed in range(3)
    ]
    for row in compare(rows, "a"):
        assert (row["n_pairs"], row["verdict"]) == (1, TOO_FEW)
        assert (row["difference"], row["low"], row["high"], row["p_value"]) == (1.0, None, None, None)
    rows[-1]["hit_ratio"] = 4.0
    assert {row["n_pairs"] for row in compare(rows, "a")} == {3}
