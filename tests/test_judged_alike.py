"""The same policy twice, and a planted difference, under each start and cut: through the whole command."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from experiments.compare.verdict import ALPHA, WORSE
from experiments.loading import load
from experiments.run import How, run_experiment
from simulator.charge import Cost
from simulator.policy import Decision
from tests.test_experiment import config, write

N_SEEDS, N_TRAIN = 5, 200
FORMS = [("cold", "mser5"), *(("warm", warm_up) for warm_up in ("none", 50, 0.25, "mser5"))]
# Of the others as many more are by hand: benchmarks/told_apart.py.
PLANTED_FORMS = [("cold", "mser5"), ("warm", 50)]
MEAN = "mean_latency_ns"


def content(seeds: list[int], charge: dict[str, Any], call: str = "10 us", **changes: Any) -> dict[str, Any]:
    """Two arms of the same table, whose thinking takes a random time for which an access waits."""
    found = config(seeds=seeds, baseline="a", **changes)
    arm = {"policy": {"kind": "next_n", "trigger": "miss"}, "charge": charge}
    found["arms"] = [{"name": "a", **arm}, {"name": "b", **arm, "set": {"system.links.0.call": call}}]
    found["workload"]["source"] = {"kind": "random", "accesses": 2 * N_TRAIN, "block": "4 KiB", "n_keys": 80}
    found["workload"]["arrivals"] = {"kind": "closed", "think": "10 us"}
    found["system"]["tiers"][0]["capacity"] = "160 KiB"
    found["system"]["links"][0]["call"] = "10 us"
    found["system"]["origin"]["latency"] = "1 us"
    found["system"]["inference"] = {"mode": "sync"}
    found["output"] = {"accesses": False, "prefetches": False}
    return found


def ran(folder: Path, content: dict[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables ``runs`` and ``comparisons``."""
    with TemporaryDirectory(dir=folder) as out:
        run_experiment(load(write(folder, content))[""], Path(out), How(quiet=True))
        runs, compared = (pd.read_parquet(Path(out) / f"{name}.parquet") for name in ("runs", "comparisons"))
    return runs, compared.set_index("metric")


def planted(folder: Path, charge: dict[str, Any], form: dict[str, Any]) -> tuple[str, float]:
    """The call of the second arm that makes its mean latency 2 % more, and with what power: from 40 seeds without."""
    runs, _ = ran(folder, content(list(range(90_000, 90_040)), charge, **form))
    latency = runs.pivot_table(index="seed", columns="arm", values=MEAN)
    more_ns = 0.02 * latency["a"].mean()
    power = TTestPower().power(more_ns / (latency["b"] - latency["a"]).std(), N_SEEDS, ALPHA)
    return f"{round(10_000 + more_ns / (1 - runs['hit_ratio'].mean()))} ns", float(power)


def recorded(folder: Path) -> dict[str, Any]:
    """Latencies drawn from a recording of a machine where they vary; each arm of each seed draws its own."""
    rng = np.random.default_rng(0)

    def measured(decision: Decision) -> Cost:
        ns = round(rng.lognormal(8, 0.5))
        return Cost(ns, ns, 0, 0)

    timed = content([0], {"kind": "measured"}, start="warm")
    with patch("experiments.recording.measured", measured):
        run_experiment(load(write(folder, timed))[""], folder / "out", How(quiet=True))
    return {"kind": "sampled", "source": str(folder / "out" / "inferences" / "a-0.parquet")}


@pytest.fixture(scope="module")
def charge(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return recorded(tmp_path_factory.mktemp("recorded"))


def seeds_of(number: int) -> list[int]:
    return [1000 * number + seed for seed in range(N_SEEDS)]


@pytest.mark.slow
@pytest.mark.parametrize(("start", "warm_up"), FORMS)
def test_the_same_policy_twice(tmp_path: Path, charge: dict[str, Any], start: str, warm_up: Any) -> None:
    n = 8
    p_values = [
        ran(tmp_path, content(seeds_of(i), charge, start=start, warm_up=warm_up))[1].loc[MEAN, "p_holm"]
        for i in range(n)
    ]
    assert sum(p < ALPHA for p in p_values) <= stats.binom.ppf(0.999, n, ALPHA)


@pytest.mark.slow
@pytest.mark.parametrize(("start", "warm_up"), PLANTED_FORMS)
def test_a_planted_difference(tmp_path: Path, charge: dict[str, Any], start: str, warm_up: Any) -> None:
    """Two per cent more latency, by a slower link: found as often as its power, from a pilot without it, says."""
    form = {"start": start, "warm_up": warm_up}
    call, power = planted(tmp_path, charge, form)
    assert 0.2 < power < 0.99
    n = 12
    found = [ran(tmp_path, content(seeds_of(i), charge, call, **form))[1].loc[MEAN] for i in range(n)]
    assert np.mean([row["relative_difference_ratio"] for row in found]) == pytest.approx(0.02, abs=0.006)
    n_found = sum(row["verdict"] == WORSE for row in found)
    # Power is a guess from a pilot: a tenth either way beside the binomial interval.
    low = stats.binom.ppf(0.005, n, max(power - 0.1, 0))
    assert low <= n_found <= stats.binom.ppf(0.995, n, min(power + 0.1, 1))
