"""A long trace in slices: what they judge, what they come to together, and what cannot be cut."""

from pathlib import Path
from typing import Any

import pytest

from experiments.loading import Loaded, all_of
from experiments.slicing import sliced
from simulator.errors import InputError
from tests.test_experiment import call, write
from tierfetch import Results, VariantResults

CONFIG: dict[str, Any] = {
    "name": "long",
    "seeds": [0],
    "workload": {
        "source": {"kind": "zipf", "accesses": 601, "n_keys": 90, "block": "4 KiB"},
        "arrivals": {"kind": "closed", "think": "1 us"},
    },
    "system": {
        "tiers": [{"name": "hbm", "capacity": "100 KiB", "latency": "350 ns", "bandwidth": "2 TB/s"}],
        "links": [{"call": "7 us", "bandwidth": "25 GB/s"}],
        "origin": {"kind": "store", "latency": "30 us"},
    },
    "arms": ["none", "next_n"],
}


def cut(n: int, ahead: float, **changes: Any) -> Loaded:
    return sliced(all_of(CONFIG | changes, Path("long.yaml")), n, ahead)


@pytest.mark.parametrize(
    ("ahead", "first", "n_ahead"),
    [(0, [0, 150, 300, 450], ["none"] * 4), (0.5, [0, 75, 225, 374], ["none", 75, 75, 76]),
     (2, [0, 0, 0, 148], ["none", 150, 300, 302])],
)  # fmt: skip
def test_slices_follow_each_other_and_begin_ahead(ahead: float, first: list[int], n_ahead: list[Any]) -> None:
    found = list(cut(4, ahead).experiments.values())
    sources = [one.workload.source.model_dump() for one in found]
    assert [source["first"] for source in sources] == first
    assert [one.warm_up for one in found] == n_ahead
    judged = [source["accesses"] - (0 if n == "none" else n) for source, n in zip(sources, n_ahead, strict=True)]
    assert judged == [150, 150, 150, 151]


def test_the_configs_own_warm_up_is_ahead_of_the_first() -> None:
    found = list(cut(2, 0, warm_up=101).experiments.values())
    assert [one.warm_up for one in found] == [101, "none"]
    assert [one.workload.source.model_dump()["accesses"] for one in found] == [351, 250]


@pytest.mark.parametrize("ahead", [4, 0])
def test_what_slices_come_to(ahead: int, tmp_path: Path) -> None:
    """With the whole trace before it ahead of each slice, as a whole; cold, as a loop over their rows."""
    path = write(tmp_path, CONFIG)
    assert call(path, "--out", tmp_path / "whole", "--quiet").exit_code == 0
    result = call(path, "--slices", 4, "--ahead", ahead, "--out", tmp_path / "slices")
    assert result.exit_code == 0, result.output
    assert "4 slices as one" in result.stdout
    slices = Results.open(tmp_path / "slices")
    assert isinstance(slices, VariantResults)
    found = slices.pooled().set_index("arm")
    assert found["n_accesses"].tolist() == [601, 601]
    whole = Results.open(tmp_path / "whole").runs.set_index("arm")
    for name in ("hit_ratio", "mean_latency_ns", "p50_latency_ns", "p99_latency_ns"):
        for arm in ("none", "next_n"):
            rows = slices.accesses(arm)
            hits = rows["outcome"].isin(["hit", "hit_prefetched"]).mean()
            latency = rows["latency_ns"]
            by_loop = {"hit_ratio": hits, "mean_latency_ns": latency.mean()}.get(name)
            if by_loop is None:
                by_loop = latency.sort_values().iloc[[300, 595][name == "p99_latency_ns"]]
            assert found.loc[arm, name] == pytest.approx(by_loop)
            if ahead:
                assert found.loc[arm, name] == pytest.approx(whole.loc[arm, name])
    assert (found.loc["none", "hit_ratio"] == pytest.approx(whole.loc["none", "hit_ratio"])) == bool(ahead)
    off = found.loc["next_n"]
    assert off["low"] < off["relative_difference_ratio"] < off["high"]


def test_pieces_that_overlap_are_no_whole(tmp_path: Path) -> None:
    piece = {"kind": "slice", "accesses": 200, "source": CONFIG["workload"]["source"]}
    workload = CONFIG["workload"] | {"source": piece}
    path = write(tmp_path, CONFIG | {"workload": workload, "sweep": {"workload.source.first": [0, 100]}})
    assert call(path, "--out", tmp_path / "out", "--quiet").exit_code == 0
    found = Results.open(tmp_path / "out")
    assert isinstance(found, VariantResults)
    with pytest.raises(InputError, match="judges accesses from 100 on, but the slice before it up to 200"):
        found.pooled()


@pytest.mark.parametrize(
    ("n", "ahead", "changes", "message"),
    [
        (1, 0, {}, "--slices 1: expected 2 to 10,000"),
        (4, 5, {}, "--ahead 5: expected a number of slices, 0 to 4"),
        (4, -1, {}, "--ahead -1: expected"),
        (602, 0, {}, "there are 601 accesses to judge; expected no more slices"),
        (4, 0, {"warm_up": "mser5"}, "warm_up is mser5"),
        (4, 0, {"workload": CONFIG["workload"] | {"train_ratio": 0.5}}, "train_ratio is 0.5, and each slice would"),
    ],
)
def test_what_cannot_be_cut(n: int, ahead: float, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        cut(n, ahead, **changes)
