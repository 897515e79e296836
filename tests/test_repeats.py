"""Intervals over seeds and repeats: the mean squares by hand, and how often they reject what is no difference."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from experiments.compare.seeds import CROSSED, PAIRED_T, REPEATS, over_runs, over_seeds
from experiments.compare.verdict import ALPHA
from tests.test_bad_input import refuse
from tests.test_experiment import call, config, lstm_arm, table, write


def test_both_effects_by_hand() -> None:
    """Seeds 0, 3, 6 and repeats -1, 1, with a rest of +-0.5 (0 in the last seed).

    Means of seeds 0, 3, 6 around 3: A = 2 * 9 = 18. Means of repeats 2, 4: B = 3 * 2 = 6. The rest: four times 0.25,
    over 2: E = 0.5. (18 + 6 - 0.5) / 6 = 3.9167; Satterthwaite: 23.5^2 / (18^2 / 2 + 6^2 + 0.5^2 / 2) = 2.787.
    """
    rest = np.array([[0.5, -0.5], [-0.5, 0.5], [0, 0]])
    found = over_runs(np.array([0.0, 3, 6])[:, None] + np.array([-1.0, 1]) + rest)
    freedom = 23.5**2 / (162 + 36 + 0.125)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(23.5 / 6)
    assert (found.n, found.n_repeats, found.mean, found.method) == (3, 2, 3, CROSSED)
    assert (found.low, found.high) == pytest.approx((3 - half, 3 + half))
    assert found.p_value == pytest.approx(2 * stats.t.sf(3 / math.sqrt(23.5 / 6), freedom))


def test_an_effect_too_small_to_be_told_from_the_rest() -> None:
    """Repeats alike: B = 0, and A + B - E is less than A, which is taken with its own degrees of freedom."""
    rest = np.array([[0.5, -0.5], [-0.5, 0.5], [0, 0]])
    found = over_runs(np.array([0.0, 3, 6])[:, None] + rest)
    half = stats.t.ppf(0.975, 2) * math.sqrt(18 / 6)
    assert (found.low, found.high) == pytest.approx((3 - half, 3 + half))


def test_where_neither_seeds_nor_repeats_differ_the_rest_is_what_there_is() -> None:
    # Means by seed and by repeat are 2 all: E = 4 * 1 / 1 with one degree of freedom, of 4 runs.
    found = over_runs(np.array([[1.0, 3.0], [3.0, 1.0]]))
    half = stats.t.ppf(0.975, 1) * np.sqrt(4 / 4)
    assert (found.mean, found.high - found.mean) == pytest.approx((2.0, half))
    assert found.p_value == pytest.approx(2 * stats.t.sf(2.0, 1))


def test_one_repeat_and_one_seed() -> None:
    values = np.array([1.0, 2, 4, 9])
    assert over_runs(values[:, None]) == over_seeds(values.tolist())
    assert over_runs(values[:, None]).method == PAIRED_T
    one = over_runs(values[None])
    assert (one.n, one.n_repeats, one.method) == (1, 4, REPEATS)
    assert (one.low, one.high) == (over_seeds(values.tolist()).low, over_seeds(values.tolist()).high)
    same = over_runs(np.full((2, 3), 7.0))
    assert (same.mean, same.low, same.high, same.p_value) == (7, 7, 7, 0)


@pytest.mark.parametrize("of_seed", [0, 1])
@pytest.mark.parametrize("of_repeat", [0, 1])
@pytest.mark.parametrize(("s", "r"), [(3, 3), (5, 3), (3, 5)])
def test_no_difference_is_rejected_as_often_as_promised(of_seed: float, of_repeat: float, s: int, r: int) -> None:
    rng = np.random.default_rng(s * 10 + r)
    n = 400
    n_rejected = 0
    for _ in range(n):
        noise = of_seed * rng.normal(size=(s, 1)) + of_repeat * rng.normal(size=(1, r)) + 0.4 * rng.normal(size=(s, r))
        n_rejected += over_runs(noise).p_value < ALPHA
    assert n_rejected <= stats.binom.ppf(0.999, n, 1.2 * ALPHA)
    if of_seed or of_repeat:
        # And not much less often.
        assert n_rejected >= stats.binom.ppf(0.001, n, 0.3 * ALPHA)


def test_without_repeats_the_machine_is_not_seen() -> None:
    """What the method is for: a machine that is slow for an hour makes all seeds of that hour alike."""
    rng = np.random.default_rng(5)
    n_rejected = {1: 0, 3: 0}
    for _ in range(300):
        noise = 0.3 * rng.normal(size=(5, 1)) + rng.normal(size=(1, 3)) + 0.2 * rng.normal(size=(5, 3))
        for r in n_rejected:
            n_rejected[r] += over_runs(noise[:, :r]).p_value < ALPHA
    assert n_rejected[1] > 150
    assert n_rejected[3] <= stats.binom.ppf(0.999, 300, 1.2 * ALPHA)


def test_what_is_measured_is_repeated(tmp_path: Path) -> None:
    arms = [
        {"name": "none", "policy": {"kind": "none"}},
        {"name": "timed", "policy": {"kind": "next_n"}, "charge": {"kind": "measured"}},
        lstm_arm({"kind": "fixed", "latency": "20 us"}),
    ]
    out = tmp_path / "out"
    path = write(tmp_path, config(arms=arms, repeats=1))
    assert call(path, "--out", out).exit_code == 0
    # More repeats go into the same folder, and only they are run.
    result = call(write(tmp_path, config(arms=arms, repeats=3)), "--out", out)
    assert "6 of 10 runs are finished already" in result.output
    runs = table(out, "runs.parquet")
    assert runs[["arm", "seed", "repeat"]].values.tolist() == [
        ["none", 0, 0], ["none", 1, 0], *(["timed", s, r] for s in (0, 1) for r in (0, 1, 2)), ["lstm", 0, 0],
        ["lstm", 1, 0],
    ]  # fmt: skip
    assert {p.name for p in (out / "accesses").glob("timed*")} == {
        f"timed-{s}{r}.parquet" for s in (0, 1) for r in ("", "-r1", "-r2")
    }
    accesses = table(out, "accesses").astype({"arm": str})
    assert accesses.groupby(["arm", "repeat"]).size().to_dict() == {
        ("none", 0): 1200, ("timed", 0): 1200, ("timed", 1): 1200, ("timed", 2): 1200, ("lstm", 0): 1200,
    }  # fmt: skip
    compared = table(out, "comparisons.parquet")
    over = compared[(compared["basis"] == "seeds") & (compared["metric"] == "mean_latency_ns")].set_index("arm")
    assert over["n_repeats"].to_dict() == {"timed": 3, "lstm": 1}
    assert over.loc["timed", "method"] == CROSSED
    assert "3 repeats of what is measured" in result.output
    # A repeat of all seeds is over before the next one begins.
    assert [line.split("] ")[1] for line in result.output.splitlines() if "/4]" in line and "done" not in line] == [
        f"arm timed, seed {s}, repeat {r}" for r in (1, 2) for s in (0, 1)
    ]


def test_force_leaves_no_repeat_of_another_hour(tmp_path: Path) -> None:
    arms = [
        {"name": "none", "policy": {"kind": "none"}},
        {"name": "timed", "policy": {"kind": "next_n"}, "charge": {"kind": "measured"}},
    ]
    out = tmp_path / "out"
    for repeats, options, expected in ((3, (), [0, 1, 2]), (2, (), [0, 1, 2]), (2, ("--force",), [0, 1])):
        path = write(tmp_path, config(arms=arms, seeds=[0], repeats=repeats))
        assert call(path, "--out", out, *options).exit_code == 0
        # Without --force they stay, as other seeds do.
        runs = table(out, "runs.parquet")
        assert runs[runs["arm"] == "timed"]["repeat"].tolist() == expected
        assert len(list((out / "accesses").glob("timed*"))) == len(expected)


def test_bad_repeats(tmp_path: Path) -> None:
    refuse(tmp_path, config(repeats=0), "repeats")
