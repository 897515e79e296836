"""Results that are kept: listed, shown and exported, from one small experiment that is run once."""

import json
import os
import re
import shutil
from datetime import datetime
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
    last = next(i for i, line in enumerate(lines) if line.startswith(("Brackets: ", "Verdicts: ")))
    return "".join(lines[: last + 2])


# -- show --------------------------------------------------------------------------------------------------------------
def test_show_prints_the_closing_table_and_makes_nothing(made: tuple[Path, str]) -> None:
    out, printed = made
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    found = call("show", out)
    assert found.exit_code == 0, found.output
    assert found.stdout == closing(printed)
    assert "Lowest mean latency: next_n" in found.stdout
    assert ("misses caused" in found.stdout, "misses caused" in call("show", out, "--full").stdout) == (False, True)
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


def interrupted(folder: Path, seeds: list[int]) -> None:
    """As a run of other seeds leaves a folder that was stopped before it made anything."""
    kept = Kept.load(folder)
    planned = [f"{arm}-{seed}" for arm in ("none", "next_n", "wrong") for seed in seeds]
    kept.write({**kept.about, "config": {**kept.about["config"], "seeds": seeds}, "planned": planned})


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
    (folder / "accesses" / "none-5.parquet").unlink()
    assert KeptResults.open(folder).missing() == ["none-5"]


def test_repeats_are_planned_of_what_is_measured_alone(tmp_path: Path) -> None:
    arms = ["none", {"name": "timed", "policy": "next_n", "charge": {"kind": "measured"}}]
    ran(write(tmp_path, {**small(), "arms": arms, "seeds": [3], "repeats": 2}), tmp_path / "out", "--quiet")
    kept = KeptResults.open(tmp_path / "out")
    assert kept.planned == ["none-3", "timed-3", "timed-3-r1"]
    assert kept.missing() == []
    del kept.kept.runs["timed", 3, 1]
    assert kept.missing() == ["timed-3-r1"]


def test_a_manifest_that_says_too_little_is_refused(folder: Path) -> None:
    kept = Kept.load(folder)
    kept.write({"name": "small"})
    with pytest.raises(InputError, match=r"manifest.json: is not as this version writes it \(KeyError\('config'\)\)"):
        KeptResults.open(folder)
    assert json.loads((folder / "manifest.json").read_text())["name"] == "small"


# -- list --------------------------------------------------------------------------------------------------------------
def listed(*arguments: Any) -> Any:
    found = call("list", *arguments, "--json")
    assert found.exit_code == 0, found.output
    return json.loads(found.stdout)


def test_list_says_what_a_folder_holds(made: tuple[Path, str]) -> None:
    out, printed = made
    [one] = listed(out.parent)["results"]
    assert (one["folder"], one["name"], one["baseline"]) == (str(out), "small", "none")
    assert (one["arms"], one["seeds"]) == (["none", "next_n", "wrong"], [3, 4, 5])
    assert (one["n_runs"], one["missing"], one["is_whole"]) == (9, [], True)
    assert one["size_bytes"] == sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    written = (out / "manifest.json").stat().st_mtime
    assert datetime.fromisoformat(one["written"]).timestamp() == int(written)
    runs = [found.row for (arm, *_), found in Kept.load(out).runs.items() if arm == "next_n"]
    assert one["best"]["arm"] == "next_n"
    assert one["best"]["mean_latency_ns"] == pytest.approx(sum(row["mean_latency_ns"] for row in runs) / 3)
    assert one["best"]["verdict"] == "better"

    told = call("list", out.parent).stdout.splitlines()
    assert told[0].startswith(f"{out}: small, {datetime.fromtimestamp(written).astimezone():%Y-%m-%d %H:%M}, ")
    assert told[0].endswith("iB, whole, 9 runs")
    assert told[1] == "  arms none, next_n, wrong; seeds 3, 4, 5"
    # The same as in the closing table.
    relative = re.search(r"  vs baseline.*?\((-\d+\.\d)%\)", printed)
    mean = re.search(r"Lowest mean latency: (next_n \(.*?\))", printed)
    assert relative is not None
    assert mean is not None
    assert told[2:] == [f"  lowest mean latency: {mean[1]}, {relative[1]}% against none: better"]


def test_list_is_the_newest_first_and_passes_by_what_is_no_result(folder: Path, tmp_path: Path) -> None:
    for name, written in (("old", 1_000_000), ("new", 3_000_000)):
        shutil.copytree(folder, tmp_path / "deep" / "er" / name)
        os.utime(tmp_path / "deep" / "er" / name / "manifest.json", (written, written))
    os.utime(folder / "manifest.json", (2_000_000, 2_000_000))
    # Such as many programs have.
    for name in ("a/manifest.json", "a/models/weights.bin", "b/runs.parquet"):
        (tmp_path / "other" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "other" / name).write_text("{}")
    # Within a result is none.
    shutil.copytree(folder, folder / "models" / "within")
    found = listed(tmp_path)
    assert [Path(one["folder"]).name for one in found["results"]] == ["new", "out", "old"]
    assert found["damaged"] == []
    # A folder of results itself is one, too.
    assert [one["folder"] for one in listed(folder)["results"]] == [str(folder)]
    empty = call("list", tmp_path / "other")
    assert (empty.exit_code, empty.stdout) == (0, f"{tmp_path / 'other'}: no results lie there\n")


def test_list_names_what_is_damaged_and_goes_on(folder: Path, tmp_path: Path) -> None:
    spoilt = [tmp_path / name for name in ("a", "b\x1b[31m", "z")]
    for place in spoilt:
        shutil.copytree(folder, place)
    (spoilt[0] / "manifest.json").write_text("{")
    (spoilt[1] / "manifest.json").unlink()
    (spoilt[2] / "comparisons.parquet").write_bytes(b"PAR1")
    found = call("list", tmp_path)
    assert found.exit_code == 0, found.output
    assert found.stdout.startswith(f"{folder}: small, ")
    assert found.stdout.count("\n") == 3
    first, second, third = found.stderr.splitlines()
    assert first.startswith(f"damaged: {spoilt[0] / 'manifest.json'}: is damaged")
    # Nothing that a terminal obeys.
    assert second.startswith(f"damaged: {tmp_path / 'b'}\\x1b[31m: holds no results (no manifest.json)")
    assert third.startswith(f"damaged: {spoilt[2] / 'comparisons.parquet'}: cannot be read: ")
    of_all = listed(tmp_path)
    assert [one["folder"] for one in of_all["damaged"]] == list(map(str, spoilt))
    assert [one["folder"] for one in of_all["results"]] == [str(folder)]


def test_list_says_what_is_missing(folder: Path) -> None:
    (folder / "windows" / "none-3.parquet").unlink()
    assert "1 of 9 runs missing\n" in call("list", folder).stdout
    interrupted(folder, seeds=[4, 5])
    found = call("list", folder).stdout
    assert ", no comparison of these runs\n" in found
    # What is known of three seeds is not said of two.
    assert re.search(r"lowest mean latency: next_n \([^)]*\)$", found, re.MULTILINE)
    assert not listed(folder)["results"][0]["is_whole"]
    interrupted(folder, seeds=[7])
    [one] = listed(folder)["results"]
    assert (one["best"], one["missing"]) == (None, ["none-7", "next_n-7", "wrong-7"])


def test_list_where_the_baseline_is_best_and_of_many_arms(tmp_path: Path) -> None:
    arms = [{"name": f"n{n}", "policy": f"next_n(n={n})"} for n in range(1, 11)]
    path = write(tmp_path, {**small(), "arms": ["none", *arms], "baseline": "n1", "seeds": [3]})
    ran(path, tmp_path / "out", "--set", "workload.source.next_ratio=1.0", "--quiet")
    _, names, best = call("list", tmp_path).stdout.splitlines()
    assert names == "  arms none, n1, n2, n3, n4, n5, n6, n7 and 3 more; seeds 3"
    assert re.fullmatch(r"  lowest mean latency: n\d+ \([^)]*\).*", best)
    baseline = best.split()[3]
    ran(
        path,
        tmp_path / "out",
        "--set",
        "workload.source.next_ratio=1.0",
        "--quiet",
        "--set",
        f"baseline={baseline}",
        "--force",
    )
    assert call("list", tmp_path).stdout.endswith(f"{best.split(')')[0]}), the baseline\n")


def test_list_refuses(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name, why in (("file", "is no folder"), ("nothing", "no such folder")):
        found = call("list", tmp_path / name)
        assert (found.exit_code, found.stdout) == (2, "")
        assert found.stderr == f"error: {tmp_path / name}: {why}; expected one below which results lie\n"
