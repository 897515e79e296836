"""``--until``: seeds are added until intervals are narrow enough; what repeated looks do to their coverage."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.compare import seeds
from experiments.loading import all_of
from experiments.many import run_many
from experiments.results import KeptResults
from experiments.run import How
from experiments.until.looks import look_at, seeds_of, with_seeds
from experiments.until.targets import parse
from tests.test_experiment import call, write

CONFIG: dict[str, Any] = {
    "name": "small",
    "seeds": [3, 1],
    "workload": {"source": {"kind": "zipf", "accesses": 200, "n_keys": 60}},
    "arms": ["none", "next_n(n=1)"],
    "output": {"accesses": False, "prefetches": False, "inferences": False},
}
LATENCY = "mean_latency_ns"


def experiment_of(**config: Any) -> Any:
    return all_of(CONFIG | config, Path("small.yaml")).experiments[""]


def rows_of(experiment: Any, of_arm: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"arm": arm, "seed": seed, "repeat": 0, LATENCY: float(value)}
        for arm, values in of_arm.items()
        for seed, value in zip(experiment.seeds, values, strict=True)
    ]


def looked(n: int, differences: Any, said: str = f"{LATENCY}=10 us", most: int = 100) -> Any:
    experiment = with_seeds(experiment_of(), n)
    base = np.linspace(1e6, 2e6, n)
    return look_at(parse(said, most), experiment, rows_of(experiment, {"none": base, "next_n": base + differences}))


def spread(n: int, width: float) -> Any:
    """Differences whose 95 % interval is so wide."""
    from scipy.special import stdtrit

    values = np.linspace(-1, 1, n)
    return values * width / (2 * stdtrit(n - 1, 0.975) * values.std(ddof=1) / np.sqrt(n))


def test_seeds_are_the_configs_and_then_the_smallest_others() -> None:
    assert seeds_of(experiment_of(), 6) == (3, 1, 0, 2, 4, 5)
    assert seeds_of(experiment_of(seeds=[2**63 - 1]), 2) == (2**63 - 1, 0)
    assert with_seeds(experiment_of(), 4).folder_hash() == experiment_of().folder_hash()


def test_when_it_ends() -> None:
    # Too few seeds, however narrow; and of the same difference each time, enough.
    assert looked(9, spread(9, 100))[:2] == (10, False)
    assert looked(9, np.full(9, 7.0))[:2] == (10, False)
    assert looked(10, np.full(10, 7.0))[:2] == (10, True)
    # 10 seeds widen it by 1.3.
    assert looked(10, spread(10, 7_600)).is_over
    assert not looked(10, spread(10, 7_800)).is_over
    assert looked(40, spread(40, 9_200)).is_over
    # So many as the spread says, 10 * (1.3 * 9 / 10)**2; twice as many at most.
    assert looked(10, spread(10, 9_000)).n_seeds == 14
    assert looked(10, spread(10, 30_000)).n_seeds == 20
    capped = looked(20, spread(20, 30_000), most=20)
    assert capped.is_over
    assert capped.is_capped
    assert "not narrow enough after 20 seeds (--most-seeds)" in capped.said
    # 20 * (30 / 10 * 1.15)**2
    assert "about 239 seeds might do" in capped.said


def test_a_share_is_of_the_baseline_and_the_widest_arm_decides() -> None:
    experiment = with_seeds(experiment_of(arms=["none", "next_n", "stride"]), 10)
    base = np.full(10, 1e6)
    of_arm = {"none": base, "next_n": base + spread(10, 7_000), "stride": base + spread(10, 20_000)}
    rows = rows_of(experiment, of_arm)
    both = look_at(parse(f"{LATENCY}=1%"), experiment, rows)
    assert not both.is_over
    assert "the interval of stride's mean_latency_ns is 2.00% of the baseline wide" in both.said
    assert look_at(parse(f"next_*.{LATENCY}=1%"), experiment, rows).is_over


def test_intervals_cover_the_truth_though_they_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    # The bootstrap is no part of it, and takes longest.
    monkeypatch.setattr(seeds, "_bca", lambda values: (0.0, 0.0))
    until, draw, n_covered, n_draws = parse(f"{LATENCY}=1000 ns", 200), np.random.default_rng(0), 0, 300
    many = with_seeds(experiment_of(), 200)
    for _ in range(n_draws):
        values = draw.normal(scale=1000, size=200)
        n, is_over = 2, False
        while not is_over:
            experiment = many.model_copy(update={"seeds": many.seeds[:n]})
            rows = rows_of(experiment, {"none": np.arange(n) + 1e6, "next_n": np.arange(n) + 1e6 + values[:n]})
            used = n
            n, is_over, *_ = look_at(until, experiment, rows)
        n_covered += abs(values[:used].mean()) <= 500
    # A look at every seed from the third on, without widening, covers 0.93.
    assert n_covered / n_draws > 0.96


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("latency=1%", "expected METRIC=WIDTH or ARM.METRIC=WIDTH, METRIC one of hit_ratio, mean_latency_ns"),
        (LATENCY, "expected METRIC=WIDTH"),
        (f"{LATENCY}=0%", "got '0%'; expected a share of the baseline such as 1%, or a time such as 500 ns"),
        (f"{LATENCY}=0.01", "got '0.01'; expected a share"),
        (f"{LATENCY}=-1%", "got '-1%'"),
        (f"{LATENCY}=nan%", "got 'nan%'"),
        ("hit_ratio=1 us", "or a number such as 0.01"),
        (f"{LATENCY}=1%,{LATENCY}=2%", "is there twice"),
        (f"far.{LATENCY}=1%", "small has no such arm besides its baseline; expected one of next_n"),
        (f"none.{LATENCY}=1%", "small has no such arm besides its baseline; expected one of next_n"),
    ],
)
def test_what_is_no_width(said: str, problem: str, tmp_path: Path) -> None:
    found = call(write(tmp_path, CONFIG), "--until", said, "--out", tmp_path / "out")
    assert found.exit_code == 2, found.output
    assert problem in " ".join(found.output.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("config", "options", "problem"),
    [
        ({}, ["--until", "hit_ratio=1%", "--shard", "1/2"], "--shard with --until: which runs there are shows only"),
        ({}, ["--most-seeds", "20"], "--most-seeds 20: says when --until ends"),
        ({}, ["--until", "hit_ratio=1%", "--most-seeds", "9"], "--most-seeds 9: expected at least 10"),
        ({"seeds": list(range(11))}, ["--until", "hit_ratio=1%", "--most-seeds", "10"], "the config has 11 seeds"),
        ({"arms": ["none"]}, ["--until", "hit_ratio=1%"], "no arm besides the baseline 'none'"),
        (
            {"repeats": 2, "arms": ["none", {"name": "slow", "policy": "next_n", "charge": "measured"}]},
            ["--until", "hit_ratio=1%"],
            "repeats: 2, and slow is measured",
        ),
    ],
)
def test_what_until_does_not_go_with(config: dict[str, Any], options: list[str], problem: str, tmp_path: Path) -> None:
    found = call(write(tmp_path, CONFIG | config), *options, "--out", tmp_path / "out")
    assert found.exit_code == 2, found.output
    assert problem in " ".join(found.output.split())
    assert not (tmp_path / "out").exists()


def test_a_folder_is_of_the_seeds_that_it_took_and_is_kept(tmp_path: Path) -> None:
    path, out = write(tmp_path, CONFIG), tmp_path / "out"
    said = ["--until", f"{LATENCY}=8%", "--most-seeds", "12", "--out", out]
    first = call(path, *said)
    assert first.exit_code == 0, first.output
    assert "on to 10" in first.output
    kept = KeptResults.open(out)
    kept.check_whole()
    n = len(kept.seeds)
    assert tuple(kept.seeds) == seeds_of(experiment_of(), n)
    assert n >= 10
    assert {row["n_pairs"] for row in kept.compared()} == {n}
    files = {path: path.stat().st_mtime_ns for path in (out / "windows").iterdir()}
    # Once more, from where an interrupt may have left it: with fewer seeds asked for, and a run missing.
    assert call(path, "--out", out, "--quiet").exit_code == 0
    gone = out / "windows" / "next_n-5.parquet"
    gone.unlink()
    again = call(path, *said)
    assert again.exit_code == 0, again.output
    assert f"{2 * n - 1} of {2 * n} runs are finished already" in again.output
    assert "on to" not in again.output
    assert KeptResults.open(out).seeds == kept.seeds
    assert {path for path in files if path.stat().st_mtime_ns != files[path]} == {gone}


def test_where_seeds_change_nothing_it_says_so(tmp_path: Path) -> None:
    path = write(tmp_path, CONFIG | {"workload": {"source": {"kind": "sequential", "accesses": 50}}})
    found = call(path, "--until", f"{LATENCY}=1%", "--out", tmp_path / "out")
    assert found.exit_code == 0, found.output
    assert "all 2 seeds came out the same: nothing is drawn" in " ".join(found.output.split())
    assert KeptResults.open(tmp_path / "out").seeds == [3, 1]


def test_each_variant_ends_by_itself(tmp_path: Path) -> None:
    sweep = {"workload.source.accesses": [20, 400]}
    loaded = all_of(CONFIG | {"sweep": sweep}, Path("small.yaml"))
    told: list[tuple[str, int]] = []

    class Told:
        def on_experiment_started(self, experiment: Any) -> None:
            told.append(("started", len(experiment.config["seeds"])))

        def on_run_finished(self, experiment: Any, row: Any) -> None:
            pass

        def on_experiment_finished(self, experiment: Any, rows: Any, compared: Any) -> None:
            told.append(("finished", len({row["seed"] for row in rows})))
            assert len(experiment.config["seeds"]) == told[-1][1]

    until = parse("hit_ratio=0.02", 24)
    run_many(loaded, tmp_path / "out", How(quiet=True, until=until, callbacks=[Told()]), None, "small.yaml")  # type: ignore[list-item]
    manifests = {path.parent.name: json.loads(path.read_text()) for path in tmp_path.glob("out/*/manifest.json")}
    n_seeds = [len(about["config"]["seeds"]) for about in manifests.values()]
    assert sorted(n_seeds) == [10, 24]
    assert [name for name, _ in told] == ["started", "finished"] * 2
    assert sorted(n for name, n in told if name == "finished") == [10, 24]
