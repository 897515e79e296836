"""Two measured arms on a noisy machine, from the config to the comparisons: how often are they told apart?"""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from experiments.compare.seeds import over_seeds
from experiments.compare.verdict import ALPHA, WORSE
from tests.noisy_host import BURSTS, MEAN, QUIET, SHIFTING, Noise, experiment, planted

N_SEEDS = N_REPEATS = 3


@pytest.mark.slow
@pytest.mark.parametrize(("noise", "n"), [(SHIFTING, 32), (BURSTS, 10)], ids=["shifting", "bursts"])
def test_the_same_lstm_twice_is_told_apart_as_often_as_is_nominal(tmp_path: Path, noise: Noise, n: int) -> None:
    """And intervals over seeds alone, of the first repeat or of the means of all, are not good enough."""
    n_rejected = n_of_first = n_of_means = 0
    for number in range(n):
        runs, compared = experiment(tmp_path, number, noise, N_SEEDS, N_REPEATS)
        n_rejected += compared.loc[MEAN, "p_holm"] < ALPHA
        latency = runs.pivot_table(index="seed", columns=["arm", "repeat"], values=MEAN)
        differences = latency["b"] - latency["a"]
        assert compared.loc[MEAN, "difference"] == pytest.approx(differences.to_numpy().mean())
        n_of_first += over_seeds(differences[0].tolist()).p_value < ALPHA
        n_of_means += over_seeds(differences.mean(axis=1).tolist()).p_value < ALPHA
    most = int(stats.binom.ppf(0.999, n, ALPHA))
    assert n_rejected <= most
    if noise is SHIFTING:
        assert min(n_of_first, n_of_means) > most


@pytest.mark.slow
def test_a_planted_difference_of_measured_arms_is_found_as_often_as_its_power_says(tmp_path: Path) -> None:
    """Two per cent more latency, by a slower link; the power from how far turns of that machine lie apart."""
    call, power = planted(tmp_path, N_SEEDS, N_REPEATS)
    assert 0.3 < power < 0.95
    n = 14
    found = [experiment(tmp_path, i, QUIET, N_SEEDS, N_REPEATS, call)[1].loc[MEAN] for i in range(n)]
    assert np.mean([row["relative_difference_ratio"] for row in found]) == pytest.approx(0.02, abs=0.003)
    n_found = sum(row["verdict"] == WORSE for row in found)
    # The power is that of as many pairs as there are repeats, as if seeds were all alike: a tenth either way.
    low, high = stats.binom.ppf(0.005, n, power - 0.1), stats.binom.ppf(0.995, n, min(power + 0.1, 1))
    assert low <= n_found <= high
