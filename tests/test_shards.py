"""Shards of a command, put together: the same tables as one command leaves, whatever the order, and what is missing."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from experiments import merge
from experiments.plan import planned
from experiments.shards import parse, shares
from simulator.errors import InputError
from tests.test_experiment import call, write
from tierfetch import Results

CONFIG: dict[str, Any] = {
    "name": "small",
    "seeds": [0, 1],
    "workload": {"source": {"kind": "random", "accesses": 120, "n_keys": 40}},
    "arms": ["none", "next_n(n=1)"],
    "sweep": {"system.tiers.hbm.capacity": ["1 MiB", "2 MiB"], "arms.next_n.policy.n": "1..2"},
}
N_SHARDS = 4
# What a run says of this machine, this hour.
OF_TIME = ("wall_s", "wall_with_training_s", "load_average", "began_s", "ended_s")


def merged(*folders: Path, out: Path) -> Any:
    return CliRunner().invoke(merge.app, [*map(str, folders), "--out", str(out)])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """The config, what one command leaves, and what four shards do that were told the same --out, last first."""
    tmp = tmp_path_factory.mktemp("shards")
    path = write(tmp, CONFIG)
    whole = call(path, "--out", tmp / "whole", "--quiet")
    assert whole.exit_code == 0, whole.output
    for number in range(N_SHARDS, 0, -1):
        found = call(path, "--out", tmp / "shards", "--shard", f"{number}/{N_SHARDS}")
        assert found.exit_code == 0, found.output
        assert f"Shard {number}/{N_SHARDS}: 3 runs, to be put together by tierfetch merge: {tmp / 'shards'}" in (
            found.output.replace("\n", " ")
        )
    return path, tmp / "whole", tmp / "shards"


def assert_same(one: Path, other: Path) -> None:
    """Every file has the same bytes; of runs, all but what is of this hour."""
    files = {path.relative_to(one) for path in one.rglob("*") if path.is_file() and path.name != ".lock"}
    assert files == {path.relative_to(other) for path in other.rglob("*") if path.is_file() and path.name != ".lock"}
    assert any(path.parts[1] == "accesses" for path in files)
    for name in files:
        if name.name == "runs.parquet":
            tables = [pq.read_table(folder / name) for folder in (one, other)]
            assert tables[0].schema.metadata == tables[1].schema.metadata
            assert tables[0].drop_columns(OF_TIME).equals(tables[1].drop_columns(OF_TIME))
        elif name.name == "manifest.json":
            abouts = [json.loads((folder / name).read_text()) for folder in (one, other)]
            runs = [about.pop("runs") for about in abouts]
            assert [about.pop("sha256") for about in abouts]
            assert abouts[0] == abouts[1]
            assert {run: (of["hash"], of["files"]) for run, of in runs[0].items()} == {
                run: (of["hash"], of["files"]) for run, of in runs[1].items()
            }
        else:
            assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_what_is_put_together_is_what_one_command_leaves(made: tuple[Path, Path, Path], tmp_path: Path) -> None:
    path, whole, shards = made
    found = merged(shards, out=tmp_path / "out")
    assert found.exit_code == 0, found.output
    assert "12 runs of 2 experiments, 12 of them new" in found.output
    assert_same(whole, tmp_path / "out")
    assert Results.open(tmp_path / "out").arms == ["none", "next_n-n-1", "next_n-n-2"]
    # The command finds it all finished.
    again = call(path, "--out", tmp_path / "out")
    assert again.exit_code == 0
    assert again.output.count("6 of 6 runs are finished already") == 2
    assert_same(whole, tmp_path / "out")


def test_shards_come_in_any_order_and_one_by_one(made: tuple[Path, Path, Path], tmp_path: Path) -> None:
    _, whole, shards = made
    out, number = tmp_path / "out", {3: 3, 1: 6, 4: 9, 2: 12}
    for shard, n_runs in number.items():
        found = merged(shards / f"shard-{shard}-of-{N_SHARDS}", out=out)
        assert f"{n_runs} runs" in found.output
        assert found.exit_code == (0 if n_runs == 12 else 2)
    assert_same(whole, out)
    assert "0 of them new" in merged(shards, out=out).output


def test_what_is_missing_is_listed_with_its_command(made: tuple[Path, Path, Path], tmp_path: Path) -> None:
    path, _, shards = made
    found = merged(shards / "shard-1-of-4", shards / "shard-4-of-4", out=tmp_path / "out")
    assert found.exit_code == 2
    for number in (2, 3):
        assert f"shard {number}: 3 runs are missing (none-1, ...)" in found.output or number == 3
        assert f"tierfetch run {path} --shard {number}/4, with the options that the others had" in found.output
    assert "shard 1:" not in found.output
    # Nothing is said of all runs before they are there.
    assert not (tmp_path / "out" / "capacity-1MiB" / "comparisons.parquet").exists()
    assert (tmp_path / "out" / "capacity-1MiB" / "runs.parquet").exists()


def test_a_shard_alone_knows_what_no_other_has_left(tmp_path: Path) -> None:
    """Twelve shards of twelve runs: one is there, and the other experiment is not even known by name."""
    path = write(tmp_path, CONFIG)
    assert call(path, "--out", tmp_path / "s", "--shard", "1/12", "--quiet").exit_code == 0
    found = merged(tmp_path / "s", out=tmp_path / "out")
    assert found.exit_code == 2
    assert [f"shard {number}: 1 run is missing" in found.output for number in range(1, 13)] == [False] + [True] * 11
    assert found.output.count("of an experiment without any") == 6


def test_damaged_files_are_left_out_and_said(made: tuple[Path, Path, Path], tmp_path: Path) -> None:
    _, whole, shards = made
    copy = tmp_path / "shards"
    shutil.copytree(shards, copy)
    file = next(copy.glob("shard-2-of-4/*/accesses/*.parquet"))
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    found = merged(copy, out=tmp_path / "out")
    assert found.exit_code == 2
    assert "is damaged or another run's" in found.output
    assert "shard 2: 1 run is missing" in found.output
    # A whole one from elsewhere takes its place.
    assert merged(shards, out=tmp_path / "out").exit_code == 0
    assert_same(whole, tmp_path / "out")


def test_a_run_that_two_have_is_taken_once(made: tuple[Path, Path, Path], tmp_path: Path) -> None:
    _, whole, shards = made
    found = merged(shards, whole, out=tmp_path / "out")
    assert found.exit_code == 0, found.output
    assert "12 runs of 2 experiments, 12 of them new" in found.output
    assert_same(whole, tmp_path / "out")


@pytest.mark.parametrize("key", ["config_hash", "code", "versions"])
def test_shards_of_other_configs_or_versions_are_refused(
    made: tuple[Path, Path, Path], tmp_path: Path, key: str
) -> None:
    from experiments.kept import Kept

    copy = tmp_path / "shards"
    shutil.copytree(made[2], copy)
    folder = copy / "shard-2-of-4" / "capacity-1MiB"
    kept = Kept.load(folder)
    kept.write(kept.about | {key: "another"})
    found = merged(copy, out=tmp_path / "out")
    assert found.exit_code == 2
    assert f"{folder}: holds runs of " in found.output.replace("\n", " ")
    assert "expected shards of one command" in found.output.replace("\n", " ")
    assert not (tmp_path / "out").exists()


def test_shards_of_another_command_are_refused(made: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """Their variants may have other names, so that nothing in one folder differs."""
    sweep = CONFIG["sweep"] | {"system.tiers.hbm.capacity": ["1 MiB", "3 MiB"]}
    path = write(tmp_path, CONFIG | {"sweep": sweep})
    assert call(path, "--out", tmp_path / "s", "--shard", "1/4", "--quiet").exit_code == 0
    found = merged(tmp_path / "s", made[2], out=tmp_path / "out")
    assert found.exit_code == 2
    assert "is of a command with other runs, or other shards, than" in found.output.replace("\n", " ")
    assert not (tmp_path / "out").exists()


def test_bad_merges(tmp_path: Path, made: tuple[Path, Path, Path]) -> None:
    found = merged(tmp_path, out=tmp_path / "out")
    assert found.exit_code == 2
    assert f"{tmp_path}: holds no results of shards" in found.output.replace("\n", " ")
    other = tmp_path / "other"
    assert (
        call(
            write(
                tmp_path,
                CONFIG | {"seeds": [0], "start": "warm", "workload": CONFIG["workload"] | {"train_ratio": 0.5}},
            ),
            "--out",
            other,
            "--quiet",
        ).exit_code
        == 0
    )
    found = merged(made[2], out=other)
    assert found.exit_code == 2
    assert "holds the results of another config" in found.output.replace("\n", " ")


def test_nothing_is_put_together_in_a_folder_of_a_shard(made: tuple[Path, Path, Path], tmp_path: Path) -> None:
    """Its manifest would no longer say which runs are that shard's."""
    shutil.copytree(made[2], tmp_path / "shards")
    out = tmp_path / "shards" / f"shard-1-of-{N_SHARDS}"
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    found = merged(tmp_path / "shards", out=out)
    assert found.exit_code == 2
    assert "holds the results of a shard; expected a folder for all of them" in found.output.replace("\n", " ")
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--shard", "0/4"], "--shard 0/4: expected K/N, such as 3/64"),
        (["--shard", "5/4"], "--shard 5/4: expected K/N"),
        (["--shard", "x"], "--shard x: expected K/N"),
        (["--shard", "13/20"], "there are but 12 runs; expected no more shards"),
        (["--shard", "1/4", "--report"], "--shard with --report: says something of all runs"),
        (["--sweep", "a.b=1"], "unknown key 'a'"),
    ],
)
def test_bad_options(tmp_path: Path, arguments: list[str], problem: str) -> None:
    found = call(write(tmp_path, CONFIG), "--out", tmp_path / "out", *arguments)
    assert found.exit_code == 2
    assert problem in found.output
    assert not (tmp_path / "out").exists()


def test_a_dry_run_says_what_a_shard_has(tmp_path: Path) -> None:
    found = call(write(tmp_path, CONFIG), "--out", tmp_path / "out", "--shard", "2/4", "--dry-run")
    assert found.exit_code == 0, found.output
    assert "small: 2 experiments, 3 runs; 0 are finished, 3 to make" in found.output
    assert "time: about" in found.output
    assert not (tmp_path / "out").exists()


def test_every_run_is_of_one_shard_and_shards_are_of_one_size() -> None:
    from experiments.loading import all_of

    experiments = all_of(CONFIG, Path("c.yaml")).experiments
    keys = {(name, run.key) for name, one in experiments.items() for run in planned(one)}
    for of in (1, 2, 5, 7, 12):
        dealt = [
            {(name, key) for name, share in shares(experiments, parse(f"{k}/{of}"), "c").items() for key in share.keys}
            for k in range(1, of + 1)
        ]
        assert sum(map(len, dealt)) == len(keys) == 12
        assert set().union(*dealt) == keys
        assert max(map(len, dealt)) - min(map(len, dealt)) <= 1
    with pytest.raises(InputError, match="K/N"):
        parse("1/0")
