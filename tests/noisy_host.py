"""A machine that other work disturbs, simulated: what inferences take there, from a seed.

It stands in for the host's clock. An experiment whose latencies are measured runs through it as it is, from the config
to the comparisons, and what comes of it depends on no machine.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd

from experiments.compare.verdict import ALPHA
from experiments.loading import load
from experiments.run import How, run_experiment
from simulator.charge import Cost
from simulator.policy import Decision
from tests.test_experiment import config, write

N_ACCESSES = 200
N_JUDGED = N_ACCESSES // 2
MEAN = "mean_latency_ns"
N_MODELS = 12
"""Experiments draw their seeds from so many: each has a trace, and a model to train, of its own."""


@dataclass(frozen=True)
class Noise:
    """How far inferences take longer or shorter than ``idle_ns``; spreads are of logarithms.

    A turn is as long as an arm's runs with all seeds: for each the machine has another level, ``level_spread``.
    Another process is there for a share ``busy_ratio`` of the time, for ``busy_calls`` inferences on average, and each
    time slows all down by a factor of its own, 1 + an exponential of mean ``slowdown``. ``call_spread`` is of a single
    inference.
    """

    idle_ns: int = 20_000
    level_spread: float = 0.2
    busy_ratio: float = 0.1
    busy_calls: float = 20
    slowdown: float = 0.5
    call_spread: float = 0.3

    def turn(self, n: int, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.float64]]:
        """What the inferences of a turn take, in ns."""
        took = self.idle_ns * rng.lognormal(0, self.level_spread) * rng.lognormal(0, self.call_spread, n)
        at, is_busy = 0, rng.random() < self.busy_ratio
        while at < n:
            n_calls = self.busy_calls * (1 if is_busy else (1 - self.busy_ratio) / self.busy_ratio)
            n_calls = rng.geometric(1 / n_calls)
            if is_busy:
                took[at : at + n_calls] *= 1 + rng.exponential(self.slowdown)
            at, is_busy = at + n_calls, not is_busy
        return took


# The machine changes from turn to turn: what it does is alike for all seeds of an arm in a repeat.
SHIFTING = Noise()
# It changes in the middle of turns: what it does to one seed says little of the next.
BURSTS = Noise(level_spread=0.0, busy_ratio=0.3, busy_calls=200)
QUIET = replace(SHIFTING, level_spread=0.05, busy_ratio=0.02)


class Host:
    """Charges each inference what it takes on the machine."""

    def __init__(self, noise: Noise, seed: int, n_of_turn: int) -> None:
        self._noise, self._rng, self._n_of_turn = noise, np.random.default_rng(seed), n_of_turn
        self._turn: list[int] = []
        self.n_calls = 0

    def __call__(self, decision: Decision) -> Cost:
        """What this one takes."""
        if not self._turn:
            self._turn = np.rint(self._noise.turn(self._n_of_turn, self._rng)).astype(int).tolist()
        self.n_calls += 1
        took = self._turn.pop()
        return Cost(took, took, 0, took)


def content(seeds: list[int], repeats: int, call: str = "7 us") -> dict[str, Any]:
    """Two arms of the same measured LSTM, which an access waits for; ``call`` is of the second arm's link."""
    policy = {
        "kind": "lstm", "vocabulary": 32, "epochs": 3, "batch_size": 4, "embedding": 8, "hidden": 8, "layers": 1,
        "window": 8, "threshold": 0.2, "device": "cpu", "backend": "compiled", "in_gpu_memory": False,
    }  # fmt: skip
    arm = {"policy": policy, "charge": {"kind": "measured"}}
    found = config(seeds=seeds, repeats=repeats, baseline="a")
    found["arms"] = [{"name": "a", **arm}, {"name": "b", **arm, "set": {"system.links.0.call": call}}]
    found["workload"]["source"] = {
        "kind": "mixed", "accesses": N_ACCESSES, "block": "4 KiB", "n_keys": 20, "next_ratio": 0.7,
    }  # fmt: skip
    found["system"]["tiers"][0]["capacity"] = "20 KiB"
    found["system"]["inference"] = {"mode": "sync"}
    found["output"] = {"accesses": False, "prefetches": False, "inferences": False}
    return found


def experiment(
    folder: Path, number: int, noise: Noise, n_seeds: int, repeats: int, call: str = "7 us"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables ``runs`` and ``comparisons`` of an experiment on that machine; its number seeds all that is random."""
    rng = np.random.default_rng(number)
    seeds = rng.choice(N_MODELS, n_seeds, replace=False).tolist()
    host = Host(noise, int(rng.integers(2**32)), n_seeds * N_JUDGED)
    with (
        # A folder that has results would keep those of other seeds beside them.
        TemporaryDirectory(dir=folder) as out,
        patch("experiments.recording.measured", host),
        # They would ask on the machine that this runs on, for most of the time that a run takes.
        patch("experiments.single.columns_of", return_value={}),
        patch("policies.lstm.build.WARM_UP_CALLS", 1),
        patch("policies.lstm.predictor.WARM_UP_CALLS", 1),
    ):
        run_experiment(load(write(folder, content(seeds, repeats, call)))[""], Path(out), How(quiet=True))
        runs, compared = (pd.read_parquet(Path(out) / f"{name}.parquet") for name in ("runs", "comparisons"))
    assert host.n_calls == 2 * n_seeds * repeats * N_JUDGED
    return runs, compared.set_index("metric")


def planted(folder: Path, n_seeds: int, repeats: int) -> tuple[str, float]:
    """The call on the second arm's link that makes its mean latency 2 % more, and with what power that is found.

    Power is of a paired t-test over repeats: on ``QUIET`` what differs is almost all from turn to turn.
    """
    from statsmodels.stats.power import TTestPower

    runs, _ = experiment(folder, 0, QUIET, n_seeds, 1)
    more_ns = 0.02 * runs[MEAN].mean()
    rng = np.random.default_rng(1)
    turns = [QUIET.turn(n_seeds * N_JUDGED, rng).mean() for _ in range(2000)]
    power = TTestPower().power(more_ns / (np.std(turns) * np.sqrt(2)), repeats, ALPHA)
    return f"{round(7_000 + more_ns / (1 - runs['hit_ratio'].mean()))} ns", float(power)
