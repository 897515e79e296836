"""The ladder of thinking times over the configs of GPU caches: which arms are charged what, and the table's shares."""

import pytest

from benchmarks.thinking import ARMS, climbing, relative
from experiments.loading import load
from experiments.shipped import CONFIGS


@pytest.mark.parametrize("config", ARMS)
def test_each_arm_is_charged_each_latency(config: str) -> None:
    (experiment,) = load(CONFIGS / f"{config}.yaml").values()
    ladder = climbing(experiment, ARMS[config], ("0 ns", "3 ms"))
    assert [arm.name for arm in ladder.arms] == [
        "none",
        *(f"{arm}-at-{ns}" for arm in ARMS[config] for ns in ("0ns", "3ms")),
    ]
    assert [arm.charged.latency for arm in ladder.arms[1:]] == [0, 3_000_000] * len(ARMS[config])
    # Where cost is weighed they decide as at any other latency.
    assert {arm.charged.assumed for arm in ladder.arms[1:]} == {10_000}


def test_shares_are_of_the_same_seeds_baseline() -> None:
    means = {("none", 0): 100.0, ("none", 1): 10.0, ("a", 0): 50.0, ("a", 1): 10.0}
    rows = [{"arm": arm, "seed": seed, "mean_latency_ns": mean} for (arm, seed), mean in means.items()]
    assert relative(rows, "none") == {"a": 0.75}
