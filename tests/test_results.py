"""Results that are kept: listed, shown and exported, from one small experiment that is run once."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from experiments import command
from experiments.kept import Kept
from experiments.results import KeptResults
from simulator.errors import InputError
from tests.test_experiment import write
from tests.test_python import small


def call(*arguments: Any) -> Any:
    return CliRunner().invoke(command.app, list(map(str, arguments)), prog_name="tierfetch")


def ran(path: Path, out: Path, *arguments: Any) -> str:
    done = call("run", path, "--out", out, *arguments)
    assert done.exit_code == 0, done.output
    return str(done.stdout)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder of results, and all that was printed as they were made."""
    folder = tmp_path_factory.mktemp("results")
    return folder / "out", ran(write(folder, small()), folder / "out")


@pytest.fixture
def folder(made: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of it, to be spoilt."""
    shutil.copytree(made[0], tmp_path / "out")
    return tmp_path / "out"


def closing(printed: str, name: str = "small") -> str:
    """The closing table as ``run`` prints it, up to the notes."""
    lines = printed[printed.index(f"{name}: mean of ") :].splitlines(keepends=True)
    last = next(i for i, line in enumerate(lines) if line.startswith("Brackets: "))
    return "".join(lines[: last + 2])


# -- show --------------------------------------------------------------------------------------------------------------
def test_show_prints_the_closing_table_and_makes_nothing(made: tuple[Path, str]) -> None:
    out, printed = made
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    found = call("show", out)
    assert found.exit_code == 0, found.output
    assert found.stdout == closing(printed)
    assert "Lowest mean latency: next_n" in found.stdout
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_show_has_what_was_asked_for_last(tmp_path: Path) -> None:
    """One seed of several that are kept, of many arms, after a warm-up: by its requests, and a row for each arm."""
    arms = ["none", *({"name": f"n{n}", "policy": f"next_n(n={n})"} for n in range(1, 5))]
    path = write(tmp_path, {**small(), "arms": arms, "warm_up": 100})
    ran(path, tmp_path / "out", "--quiet")
    printed = ran(path, tmp_path / "out", "--seeds", "4")
    assert "small: mean of 1 seed, 500 accesses each after 100 of warm-up" in printed
    assert call("show", tmp_path / "out").stdout == closing(printed)


def test_show_of_one_arm(tmp_path: Path) -> None:
    printed = ran(write(tmp_path, {**small(), "arms": ["none"]}), tmp_path / "out")
    shown = call("show", tmp_path / "out")
    assert shown.exit_code == 0, shown.output
    assert shown.stdout in printed
    assert shown.stdout.startswith("small: mean of 3 seeds")


def interrupted(folder: Path, **config: Any) -> None:
    """As a run of another config of the same folder leaves it that was stopped before it made anything."""
    kept = Kept.load(folder)
    kept.write({**kept.about, "config": {**kept.about["config"], **config}})


def test_show_refuses_what_is_not_whole(folder: Path, tmp_path: Path) -> None:
    file = folder / "accesses" / "next_n-4.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    refused = "out: 1 of 9 runs are missing (next_n-4); run the experiment again to have them made\n"
    assert call("show", folder).stderr.endswith(refused)
    file.unlink()
    assert call("show", folder).stderr.endswith(refused)
    file.write_bytes(whole)
    assert call("show", folder).exit_code == 0

    # The table of comparisons is of three seeds, and two are asked for: its verdicts are of others.
    interrupted(folder, seeds=[3, 4])
    stale = call("show", folder)
    assert stale.exit_code == 2
    assert "comparisons.parquet: is of other seeds or settings than were asked for last" in stale.stderr
    (folder / "comparisons.parquet").unlink()
    assert "no such table: the experiment was not run to its end" in call("show", folder).stderr
    for place in (tmp_path, tmp_path / "nothing", file):
        found = call("show", place)
        assert (found.exit_code, found.stdout) == (2, "")
        assert found.stderr.count("\n") == 1
        assert "holds no results (no manifest.json)" in found.stderr


def test_runs_that_are_planned_are_missing_until_they_are_made(made: tuple[Path, str], folder: Path) -> None:
    assert KeptResults.open(made[0]).missing() == []
    planned = KeptResults.open(folder).planned
    assert planned == [f"{arm}-{seed}" for arm in ("none", "next_n", "wrong") for seed in (3, 4, 5)]
    # A manifest that does not say it yet.
    kept = Kept.load(folder)
    kept.write({key: value for key, value in kept.about.items() if key != "planned"})
    assert KeptResults.open(folder).planned == planned
    interrupted(folder, seeds=[3, 6])
    assert KeptResults.open(folder).missing() == ["none-6", "next_n-6", "wrong-6"]


def test_a_manifest_that_says_too_little_is_refused(folder: Path) -> None:
    kept = Kept.load(folder)
    kept.write({"name": "small"})
    with pytest.raises(InputError, match=r"manifest.json: is not as this version writes it \(KeyError\('config'\)\)"):
        KeptResults.open(folder)
    assert json.loads((folder / "manifest.json").read_text())["name"] == "small"
