"""What a folder keeps of its runs: damage is found, named and made good, and what is left of broken attempts goes."""

import errno
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.campaign.folders import OF_A_RUN, OF_THE_MACHINE, asides, present
from experiments.aside import aside_of, is_aside, remove_dead, remove_of, written_aside
from experiments.kept import Done, Kept, _sealed
from experiments.making_runs import Making
from experiments.plan import key_of, stem_of
from simulator.errors import InputError
from tests.test_experiment import ROOT, call, config, write
from tests.test_parallel import ARMS

RUNS = [(arm["name"], seed) for arm in ARMS for seed in (0, 1)]
OVER_RUNS = ("comparisons", "attribution")


def content(**changes: Any) -> dict[str, Any]:
    """Three arms, which are charged the same every time, with two seeds: half a second when models are trained."""
    whole = config(arms=[*ARMS[:2], {**ARMS[2], "policy": {**ARMS[2]["policy"], "epochs": 2}}], **changes)
    whole["workload"]["source"]["accesses"] = 400
    return whole


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing wrong, in ``out``, and its config beside."""
    folder = tmp_path_factory.mktemp("kept")
    result = call(write(folder, content()), "--out", folder / "out")
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    """It once more, to be damaged."""
    return copied(whole, tmp_path / "copy")


def copied(whole: Path, to: Path) -> Path:
    shutil.copytree(whole / "out", to)
    return to


def again(whole: Path, out: Path, *arguments: object) -> str:
    """What a second run of the same command says."""
    result = call(whole / "config.yaml", "--out", out, *arguments)
    assert result.exit_code == 0, result.output
    return str(result.output)


def made(said: str) -> set[tuple[str, int]]:
    """Which runs were made, of lines such as ``[1/2] arm none, seed 0``."""
    return {(arm, int(seed)) for arm, seed in re.findall(r"\] arm (\S+), seed (\d+): done", said)}


def squeezed(text: str) -> str:
    """Without what a terminal's width puts in."""
    return "".join(text.split())


def files_of(arm: str, seed: int) -> list[str]:
    """Those of a run, by their names in the folder."""
    tables = ["accesses", "inferences", "prefetches", "windows", *(["training"] if arm == "lstm" else [])]
    models = [f"models/{arm}-{seed}.safetensors"] if arm == "lstm" else []
    return [*(f"{name}/{arm}-{seed}.parquet" for name in tables), *models]


def assert_equal(out: Path, whole: Path, remade: set[tuple[str, int]]) -> None:
    """The same files with the same rows; of runs that were not made again the same bytes."""
    found, expected = present(out), present(whole / "out")
    assert list(found) == list(expected)
    for arm, seed in RUNS:
        for name in files_of(arm, seed):
            if (arm, seed) not in remade or not name.endswith(".parquet"):
                assert found[name] == expected[name], name
            else:
                one, two = (pq.read_table(folder / name) for folder in (out, whole / "out"))
                columns = [column for column in two.column_names if column not in OF_A_RUN]
                assert one.column_names == two.column_names
                assert one.select(columns).equals(two.select(columns)), name
    assert_rows_equal(out, whole, remade)
    for name in OVER_RUNS:
        one, two = (pq.read_table(folder / f"{name}.parquet") for folder in (out, whole / "out"))
        assert one.equals(two, check_metadata=True), name


def assert_rows_equal(out: Path, whole: Path, remade: set[tuple[str, int]]) -> None:
    """The table of all runs; what the machine decides is another's in runs that were made again."""
    one, two = (pq.read_table(folder / "runs.parquet") for folder in (out, whole / "out"))
    assert one.schema.equals(two.schema, check_metadata=True), (one.column_names, two.column_names)
    for row, before in zip(one.to_pylist(), two.to_pylist(), strict=True):
        is_remade = (row["arm"], row["seed"]) in remade
        assert {name for name in row if row[name] != before[name]} <= {
            name for name in row if is_remade and OF_THE_MACHINE.search(name)
        }


# -- tables and models ------------------------------------------------------------------------------------------------
def other_of(path: Path, *, seed: bool) -> Path:
    """The same file of another arm, or of another seed."""
    arm, number = re.fullmatch(r"(\w+)-(\d)\..*", path.name).groups()  # type: ignore[union-attr]
    other = (arm, 1 - int(number)) if seed or path.parent.name in ("models", "training") else ("none", int(number))
    if other[0] == arm and not seed and arm == "none":
        other = "next_n", int(number)
    return path.with_name(f"{other[0]}-{other[1]}{path.suffix}")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    """A bit in the middle; the size is as it was."""
    changed = bytearray(path.read_bytes())
    changed[len(changed) // 2] ^= 1
    path.write_bytes(changed)


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"\0")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": truncate,
    "emptied": lambda path: path.write_bytes(b""),
    "a bit flipped": flip,
    "a byte appended": append,
    "another arm's": lambda path: shutil.copy2(other_of(path, seed=False), path),
    "another seed's": lambda path: shutil.copy2(other_of(path, seed=True), path),
    "deleted": Path.unlink,
}
DIFFERS = "is damaged or another run's (its checksum differs)"


def test_a_file_that_has_no_end_is_not_read(whole: Path, copy: Path) -> None:
    """A hole of a tebibyte takes no room and a quarter of an hour to read."""
    os.truncate(copy / "accesses/none-0.parquet", 1 << 40)
    assert made(again(whole, copy)) == {("none", 0)}
    assert_equal(copy, whole, {("none", 0)})


def line_of(out: Path, name: str, how: str, arm: str, seed: int) -> str:
    what = "is missing" if how == "deleted" else DIFFERS
    return squeezed(f"{out}/{name}: {what}: arm {arm}, seed {seed} is made again")


# Every kind of file once, each of another run.
HALVES = [
    ["accesses/none-0.parquet", "prefetches/next_n-0.parquet", "models/lstm-0.safetensors"],
    ["windows/none-1.parquet", "inferences/next_n-1.parquet", "training/lstm-1.parquet"],
    ["windows/next_n-1.parquet", "accesses/lstm-1.parquet"],
]


@pytest.mark.parametrize("names", HALVES, ids=["one", "other", "more"])
@pytest.mark.parametrize("how", DAMAGES)
def test_a_file_that_is_not_as_it_was_is_named_and_its_run_made_again(
    whole: Path, copy: Path, how: str, names: list[str]
) -> None:
    runs = {}
    # Copies are of files that are whole.
    for name in names:
        arm, seed = re.search(r"/(\w+)-(\d)\.", name).groups()  # type: ignore[union-attr]
        runs[name] = arm, int(seed)
        DAMAGES[how](copy / name)
        assert present(copy).get(name) != present(whole / "out")[name]
    said = again(whole, copy)
    for name, run in runs.items():
        assert line_of(copy, name, how, *run) in squeezed(said)
    assert squeezed(said).count("ismadeagain") == len(names)
    assert f"{6 - len(names)} of 6 runs are finished already" in said
    assert made(said) == set(runs.values())
    assert_equal(copy, whole, set(runs.values()))
    # Then nothing is wrong any more.
    assert "6 of 6 runs are finished already" in again(whole, copy)
    assert_equal(copy, whole, set(runs.values()))


@st.composite
def damages(draw: st.DrawFn) -> dict[tuple[str, int], dict[str, str]]:
    """Of some runs some files, and what is wrong with them."""
    kinds = st.sampled_from(sorted(set(DAMAGES) - {"another arm's", "another seed's"}))
    runs = draw(st.lists(st.sampled_from(RUNS), max_size=4, unique=True))
    return {run: draw(st.dictionaries(st.sampled_from(files_of(*run)), kinds, min_size=1)) for run in runs}


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damaged=damages())
def test_whatever_is_damaged_the_end_is_the_same(
    whole: Path, tmp_path_factory: pytest.TempPathFactory, damaged: dict[tuple[str, int], dict[str, str]]
) -> None:
    out = copied(whole, tmp_path_factory.mktemp("damaged") / "out")
    for files in damaged.values():
        for name, how in files.items():
            DAMAGES[how](out / name)
    said = again(whole, out, "--jobs", "1")
    assert made(said) == set(damaged)
    assert squeezed(said).count("ismadeagain") == len(damaged)
    assert_equal(out, whole, set(damaged))


def test_a_damaged_run_that_was_not_asked_for_is_removed(whole: Path, copy: Path) -> None:
    """All its files: a damaged one would be read together with the others. It is made again when it is asked for."""
    truncate(copy / "accesses" / "next_n-1.parquet")
    said = again(whole, copy, "--seeds", "0")
    gone = f"accesses/next_n-1.parquet: {DIFFERS}: arm next_n, seed 1 was not asked for, and is removed"
    assert squeezed(gone) in squeezed(said)
    assert not list(copy.glob("*/next_n-1.*"))
    assert pq.read_table(copy / "accesses").num_rows > 0
    assert made(said) == set()
    rows = pq.read_table(copy / "runs.parquet").to_pylist()
    assert [(row["arm"], row["seed"]) for row in rows] == [run for run in RUNS if run != ("next_n", 1)]
    assert made(again(whole, copy)) == {("next_n", 1)}
    assert_equal(copy, whole, {("next_n", 1)})


def test_a_line_names_the_file_as_it_is_called(whole: Path, tmp_path: Path) -> None:
    """Brackets mean something to the terminal's library."""
    out = copied(whole, tmp_path / "a[b]c")
    (out / "accesses" / "none-0.parquet").unlink()
    assert line_of(out, "accesses/none-0.parquet", "deleted", "none", 0) in squeezed(again(whole, out))


def test_of_what_is_repeated_each_repeat_is_kept_for_itself(tmp_path: Path) -> None:
    timed = {"name": "timed", "policy": {"kind": "next_n"}, "charge": {"kind": "measured"}}
    path, out = write(tmp_path, content(repeats=2) | {"arms": [ARMS[0], timed], "seeds": [0]}), tmp_path / "out"
    assert call(path, "--out", out).exit_code == 0
    runs = pq.read_table(out / "runs.parquet").select(["arm", "seed", "repeat"]).to_pylist()
    assert [tuple(row.values()) for row in runs] == [("none", 0, 0), ("timed", 0, 0), ("timed", 0, 1)]
    before = present(out)
    (out / "windows" / "timed-0-r1.parquet").unlink()
    said = str(call(path, "--out", out).output)
    assert squeezed("timed-0-r1.parquet: is missing: arm timed, seed 0, repeat 1 is made again") in squeezed(said)
    assert "2 of 3 runs are finished already" in said
    assert list(present(out)) == list(before)
    same = [name for name in before if "/" in name and "-r1" not in name]
    assert {name: present(out)[name] for name in same} == {name: before[name] for name in same}
    # Another repeat is made beside those that there are.
    more = str(call(path, "--out", out, "--set", "repeats=3").output)
    assert "3 of 4 runs are finished already" in more
    assert "arm timed, seed 0, repeat 2: done" in more


# -- the table of all runs --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("how", ["truncated", "emptied", "a bit flipped", "another table", "another's", "deleted"])
def test_the_table_of_all_runs_is_made_from_the_manifest(whole: Path, copy: Path, how: str) -> None:
    path = copy / "runs.parquet"
    if how == "another table":
        shutil.copy2(copy / "comparisons.parquet", path)
    elif how == "another's":
        # Of the same columns, and with other numbers.
        table = pq.read_table(path)
        pq.write_table(table.take([5, 4, 3]), path)
    else:
        DAMAGES[how](path)
    said = again(whole, copy)
    assert "6 of 6 runs are finished already" in said
    assert made(said) == set()
    assert_equal(copy, whole, set())


# -- the manifest -----------------------------------------------------------------------------------------------------
def _another_row(path: Path) -> None:
    """A number of a row is another one, and JSON as good as before."""
    content = json.loads(path.read_text())
    content["runs"]["none-0"]["row"]["n_miss"] += 1
    path.write_text(json.dumps(content))


def _without_a_seal(path: Path) -> None:
    content = json.loads(path.read_text())
    del content["sha256"]
    path.write_text(json.dumps(content))


def _without_runs(path: Path) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in content.items() if name != "runs"}))


MANIFESTS: dict[str, Callable[[Path], object]] = {
    "truncated": truncate,
    "emptied": lambda path: path.write_bytes(b""),
    "a bit flipped": flip,
    "not UTF-8": lambda path: path.write_bytes(b"\xff" + path.read_bytes()),
    "a list": lambda path: path.write_text("[]"),
    "nothing": lambda path: path.write_text("null"),
    "a number": lambda path: path.write_text("7"),
    "nested": lambda path: path.write_text("[" * 100_000),
    "runs are a list": lambda path: path.write_text('{"runs": [], "sha256": ""}'),
    "a run is a number": lambda path: path.write_text('{"runs": {"none-0": 3}, "sha256": ""}'),
    "another row": _another_row,
    "no seal": _without_a_seal,
    "no runs": _without_runs,
}


@pytest.mark.parametrize("how", MANIFESTS)
def test_a_damaged_manifest_is_one_line_and_force_makes_all_again(whole: Path, copy: Path, how: str) -> None:
    MANIFESTS[how](copy / "manifest.json")
    before = present(copy)
    result = call(whole / "config.yaml", "--out", copy)
    assert result.exit_code == 2
    expected = f"error: {copy / 'manifest.json'}: is damaged; expected it as written: --force makes everything again"
    assert result.output.splitlines() == [expected]
    # Nothing was touched: whoever knows better can still mend it.
    assert present(copy) == before
    assert made(again(whole, copy, "--force")) == set(RUNS)
    assert_equal(copy, whole, set(RUNS))


@pytest.mark.parametrize(
    "name",
    ["../mine.txt", "{mine}", "accesses/../../mine.txt", "accesses/mine.txt", "manifest.json", "", "a\0b", "a/\ud800"],
)
def test_a_manifest_removes_no_file_but_those_of_its_runs(whole: Path, copy: Path, name: str) -> None:
    """Whoever sends a folder can seal it: what is called a file of a run, and is not as it says, would be removed."""
    mine = [copy.parent / "mine.txt", copy / "accesses/mine.txt"]
    for path in mine:
        path.write_text("mine")
    content = json.loads((copy / "manifest.json").read_text())
    del content["sha256"]
    content["runs"]["none-0"]["files"][name.format(mine=mine[0])] = [1, "0"]
    (copy / "manifest.json").write_text(json.dumps({**content, "sha256": _sealed(content)}))
    result = call(whole / "config.yaml", "--out", copy)
    assert result.exit_code == 2, result.output
    assert f"{copy / 'manifest.json'}: is damaged; expected it as written" in result.output
    assert [path.read_text() for path in mine] == ["mine", "mine"]
    assert call(whole / "config.yaml", "--out", copy, "--force").exit_code == 0
    assert mine[0].read_text() == "mine"


def test_a_manifest_that_is_missing_is_one_line_too(whole: Path, copy: Path) -> None:
    (copy / "manifest.json").unlink()
    before = present(copy)
    result = call(whole / "config.yaml", "--out", copy)
    assert result.exit_code == 2
    assert squeezed(f"error: --out {copy}: holds results, but no manifest.json") in squeezed(result.output)
    assert "--force" in result.output
    assert present(copy) == before
    assert made(again(whole, copy, "--force")) == set(RUNS)
    assert_equal(copy, whole, set(RUNS))


@pytest.mark.parametrize("manifest", ["as it is", "damaged", "missing"])
def test_another_experiment_s_results_are_replaced_by_force_alone(whole: Path, copy: Path, manifest: str) -> None:
    """Nothing of them is left then: tables of a folder are read together."""
    if manifest == "damaged":
        truncate(copy / "manifest.json")
    elif manifest == "missing":
        (copy / "manifest.json").unlink()
    others = [{**arm, "name": f"{arm['name']}_other"} for arm in ARMS[:2]]
    path = write(copy.parent, content() | {"arms": others, "baseline": "none_other"}, "other.yaml")
    before = present(copy)
    refused = call(path, "--out", copy)
    assert refused.exit_code == 2
    assert refused.output.count("\n") == 1
    assert present(copy) == before
    forced = call(path, "--out", copy, "--force")
    assert forced.exit_code == 0, forced.output
    assert call(path, "--out", copy.parent / "new").exit_code == 0
    assert list(present(copy)) == list(present(copy.parent / "new"))
    # And it is whole for those who come next.
    assert "4 of 4 runs are finished already" in str(call(path, "--out", copy).output)


def test_force_leaves_what_is_nobody_s_results(whole: Path, copy: Path) -> None:
    """A folder that has other files and no manifest is never written to; beside results they stay as they are."""
    (copy / "notes.txt").write_text("mine")
    (copy / "manifest.json").write_text("{")
    assert made(again(whole, copy, "--force")) == set(RUNS)
    assert (copy / "notes.txt").read_text() == "mine"
    (copy / "manifest.json").unlink()
    before = present(copy)
    assert call(whole / "config.yaml", "--out", copy, "--force").exit_code == 2
    assert present(copy) == before


# -- the small files of runs that are over ----------------------------------------------------------------------------
@contextmanager
def killed_at_the_end() -> Iterator[None]:
    """A command goes no further than to the end of its runs."""
    write_all = Making.write

    def killed(making: Making) -> None:
        if making.kept.runs:
            raise KeyboardInterrupt
        write_all(making)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Making, "write", killed)
        yield


@pytest.fixture
def half(whole: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """As a command leaves it that is killed when all runs are over; in a new folder, or in one that has results."""
    out = tmp_path / "half"
    if request.param == "old":
        again(whole, out, "--seeds", "0")
    with killed_at_the_end():
        assert call(whole / "config.yaml", "--out", out).exit_code == 130
    assert {path.name for path in (out / ".runs").iterdir()} == {
        f"{arm}-{seed}.json" for arm, seed in RUNS if request.param == "new" or seed == 1
    }
    return out


in_both = pytest.mark.parametrize("half", ["new", "old"], indirect=True)
RECEIPTS: dict[str, Callable[[Path], object]] = {
    **{how: DAMAGES[how] for how in ("truncated", "emptied", "a bit flipped", "a byte appended", "deleted")},
    "another arm's": lambda path: shutil.copy2(path.with_name("none-1.json"), path),
    "a list": lambda path: path.write_text("[]"),
    "nested": lambda path: path.write_text("[" * 100_000),
}


@in_both
def test_runs_that_are_over_are_kept_whatever_the_manifest_says(whole: Path, half: Path) -> None:
    said = again(whole, half)
    assert "6 of 6 runs are finished already" in said
    assert made(said) == set()
    assert_equal(half, whole, set(RUNS))


@in_both
@pytest.mark.parametrize("how", RECEIPTS)
def test_a_damaged_receipt_is_one_run_that_is_made_again(whole: Path, half: Path, how: str) -> None:
    RECEIPTS[how](half / ".runs" / "next_n-1.json")
    said = again(whole, half)
    assert "5 of 6 runs are finished already" in said
    assert made(said) == {("next_n", 1)}
    assert_equal(half, whole, set(RUNS))


@in_both
def test_tables_are_looked_at_whoever_says_that_they_are_there(whole: Path, half: Path) -> None:
    flip(half / "accesses" / "lstm-1.parquet")
    said = again(whole, half)
    assert line_of(half, "accesses/lstm-1.parquet", "a bit flipped", "lstm", 1) in squeezed(said)
    assert made(said) == {("lstm", 1)}
    assert_equal(half, whole, set(RUNS))


def test_what_was_killed_belongs_to_its_experiment(whole: Path, tmp_path: Path) -> None:
    """Another one is refused before the first command has ended well, too."""
    out = tmp_path / "out"
    with killed_at_the_end():
        assert call(whole / "config.yaml", "--out", out, "--seeds", "0").exit_code == 130
    path = write(tmp_path, content() | {"arms": ARMS[:1]}, "other.yaml")
    before = present(out)
    refused = call(path, "--out", out)
    assert refused.exit_code == 2, refused.output
    assert present(out) == before
    assert call(path, "--out", out, "--force").exit_code == 0
    assert call(path, "--out", tmp_path / "new").exit_code == 0
    assert list(present(out)) == list(present(tmp_path / "new"))


# -- the file itself ---------------------------------------------------------------------------------------------------
VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
ROWS = st.dictionaries(st.sampled_from(["n_miss", "mean_ns", "device", "Ü", "a"]), VALUES)


@st.composite
def kept_runs(draw: st.DrawFn) -> list[tuple[str, Done]]:
    keys = st.tuples(st.sampled_from(["a", "b-1", "b"]), st.integers(0, 2**63 - 1), st.integers(0, 2))
    tables = st.dictionaries(
        st.sampled_from(["accesses", "models", "t"]), st.tuples(st.integers(0, 9), st.text(max_size=5))
    )
    return [
        (draw(st.text(max_size=5)), Done(dict(zip(("arm", "seed", "repeat"), key, strict=True)) | draw(ROWS), files))
        for key in draw(st.lists(keys, max_size=4, unique=True))
        for files in [{f"{table}/{stem_of(*key)}.parquet": found for table, found in draw(tables).items()}]
    ]


def kept_with(folder: Path, runs: list[tuple[str, Done]]) -> Kept:
    kept = Kept(folder)
    for hash_, done in runs:
        kept.add(hash_, done)
    return kept


def loaded(folder: Path) -> tuple[Any, Any]:
    kept = Kept.load(folder)
    return kept.about, kept.runs


@given(runs=kept_runs(), about=st.dictionaries(st.sampled_from(["name", "config", "tables"]), ROWS))
def test_what_is_kept_is_read_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, runs: list[tuple[str, Done]], about: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("runs")
    kept = kept_with(folder, runs)
    assert loaded(folder) == ({}, kept.runs)
    # In the order in which a table of them has its columns.
    assert {key: list(run.row) for key, run in loaded(folder)[1].items()} == {
        key: list(run.row) for key, run in kept.runs.items()
    }
    kept.write(about)
    assert loaded(folder) == (about, kept.runs)
    assert {key: list(run.row) for key, run in loaded(folder)[1].items()} == {
        key: list(run.row) for key, run in kept.runs.items()
    }
    assert [path.name for path in folder.iterdir()] == ["manifest.json"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs with short rows, one in the manifest and one of its own."""
    folder = tmp_path_factory.mktemp("small")
    rows = [{"arm": "a", "seed": 3, "repeat": 0, "x": 1.5}, {"arm": "b", "seed": 4, "repeat": 1, "x": math.inf}]
    one, two = ((f"hash{i}", Done(row, {f"t/{stem_of(*key_of(row))}.x": (7, "ab")})) for i, row in enumerate(rows))
    kept = kept_with(folder, [one])
    kept.write({"name": "small", "config_hash": "0123"})
    kept_with(folder, [two])
    return folder


def changes(content: bytes) -> Iterator[bytes]:
    """A bit of every byte flipped, every end cut off, every byte left out."""
    for i, byte in enumerate(content):
        yield content[:i] + bytes([byte ^ 1 << i % 8]) + content[i + 1 :]
        yield content[:i]
        yield content[:i] + content[i + 1 :]


def test_no_change_of_a_manifest_is_taken_for_another_result(small: Path, tmp_path: Path) -> None:
    """It is refused, or is of what means nothing, such as white space."""
    about, runs = loaded(small)
    of_manifest = {key: run for key, run in runs.items() if key[0] == "a"}
    n_refused = n = 0
    for changed in changes((small / "manifest.json").read_bytes()):
        (tmp_path / "manifest.json").write_bytes(changed)
        n += 1
        try:
            found = loaded(tmp_path)
        except InputError:
            n_refused += 1
        else:
            assert found == (about, of_manifest)
    assert n_refused > 0.6 * n


def test_no_change_of_a_receipt_is_taken_for_another_result(small: Path, tmp_path: Path) -> None:
    """It is passed by, or is of what means nothing."""
    (receipt,) = (small / ".runs").iterdir()
    runs = {key: run for key, run in loaded(small)[1].items() if key[0] == "b"}
    (tmp_path / ".runs").mkdir()
    for changed in changes(receipt.read_bytes()):
        (tmp_path / ".runs" / receipt.name).write_bytes(changed)
        assert loaded(tmp_path) in (({}, {}), ({}, runs))


# -- what is left of attempts -----------------------------------------------------------------------------------------
@pytest.fixture
def dead() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def living() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield process.pid
    process.communicate()


def aside_by(path: Path, pid: int, host: str | None = None) -> Path:
    """What a process, of this host or another, was writing there."""
    mine = aside_of(path)
    name = mine.name.replace(f"-{os.getpid()}-", f"-{pid}-")
    assert name.count(f"-{pid}-") == 1
    if host is not None:
        name = re.sub(r"\.[0-9a-f]{8}-", f".{host}-", name)
    made = path.with_name(name)
    made.parent.mkdir(exist_ok=True)
    made.write_bytes(b"half")
    return made


PLACES = ["manifest.json", "runs.parquet", "accesses/none-0.parquet", "models/lstm-0.safetensors", ".runs/none-0.json"]


def test_what_the_dead_left_goes_and_what_the_living_write_stays(
    whole: Path, copy: Path, dead: int, living: int
) -> None:
    ours = [aside_by(copy / place, dead) for place in PLACES]
    theirs = [aside_by(copy / place, living) for place in PLACES[:4]]
    elsewhere = [aside_by(copy / place, dead, host="0123abcd") for place in PLACES[:4]]
    # It looks like one, and is not.
    foreign = copy / "accesses" / ".none-0.parquet.part"
    foreign.touch()
    assert set(asides(copy)) == {*ours, *theirs, *elsewhere}
    again(whole, copy)
    assert set(asides(copy)) == {*theirs, *elsewhere}
    assert {path.read_bytes() for path in asides(copy)} == {b"half"}
    # Nobody reads them either: a folder's tables are read together.
    assert len(pq.read_table(copy / "accesses")) == 6 * 200
    for path in [*theirs, *elsewhere, foreign]:
        path.unlink()
    assert_equal(copy, whole, set())


def test_a_process_s_own_are_removed_by_whoever_saw_it_die(tmp_path: Path, dead: int, living: int) -> None:
    gone, also = (aside_by(tmp_path / place, dead) for place in ("a.json", "b/c.parquet"))
    others = [aside_by(tmp_path / "a.json", living), aside_by(tmp_path / "a.json", dead, host="0123abcd")]
    remove_of(tmp_path, dead)
    assert not gone.exists()
    assert not also.exists()
    assert set(asides(tmp_path)) == set(others)
    remove_dead(tmp_path)
    assert set(asides(tmp_path)) == set(others)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux says in /proc who has ended")
def test_who_ended_and_was_not_waited_for_is_dead(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    try:
        left = aside_by(tmp_path / "a.json", process.pid)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        remove_dead(tmp_path)
        assert not left.exists()
    finally:
        process.wait()


def test_two_who_write_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    with written_aside(path) as one, written_aside(path) as two:
        one.write_text("one")
        two.write_text("two")
        assert one != two
        assert not path.exists()
    assert path.read_text() == "one"

    def fails() -> None:
        with written_aside(path) as three:
            three.write_text("half")
            raise OSError(errno.ENOSPC, "no space left")

    with pytest.raises(OSError, match="no space"):
        fails()
    assert path.read_text() == "one"
    assert asides(tmp_path) == []


# -- killed -----------------------------------------------------------------------------------------------------------
def _is_begun(out: Path) -> bool:
    """The tables of the first run are being written, and no run is over."""
    return (out / "accesses").is_dir() and bool(asides(out / "accesses"))


def _is_over(out: Path) -> bool:
    """A run is."""
    return bool(list((out / ".runs").glob("[!.]*.json")))


@pytest.mark.parametrize(
    ("manifest", "jobs", "until"),
    [("new", "1", _is_begun), ("new", "2", _is_over), ("old", "1", _is_over), ("old", "2", _is_begun)],
)
def test_runs_that_were_over_when_all_was_killed_are_kept(
    tmp_path: Path, manifest: str, jobs: str, until: Callable[[Path], bool]
) -> None:
    """In a new folder, and in one that has results; also if processes that nobody waits for still write there."""
    changed = content(engine="simpy") | {"arms": ARMS[:2], "seeds": [0, 1, 2]}
    changed["workload"]["source"]["accesses"] = 8_000
    path, out = write(tmp_path, changed), tmp_path / "out"
    quick = ("--set", "engine=compiled", "--set", "output.window=1000")
    if manifest == "old":
        assert call(path, "--out", out, *quick, "--seeds", "2").exit_code == 0
    n_before = 2 if manifest == "old" else 0
    command = [sys.executable, "-m", "experiments.run", str(path), "--out", str(out), "--jobs", jobs]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not until(out):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {path.stem for path in (out / ".runs").glob("[!.]*.json")}
    assert kept or until is _is_begun
    stamps = {path: path.stat().st_mtime_ns for path in out.glob("*/*.parquet") if path.stem in kept}
    result = call(path, "--out", out, *quick)
    assert result.exit_code == 0, result.output
    if kept or n_before:
        assert f"{len(kept) + n_before} of 6 runs are finished already" in result.output
    assert len(made(result.output)) == 6 - len(kept) - n_before > 0
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert call(path, "--out", tmp_path / "undisturbed", *quick, "--quiet").exit_code == 0
    # The pipe ends with the last that holds it: from now on nobody writes there.
    process.communicate()
    found, expected = (
        # Wall times are in tables of questions. What an orphan had begun when it ended may still lie aside.
        {
            name: data
            for name, data in present(folder).items()
            if "/" in name and not name.startswith("inferences/") and not is_aside(Path(name).name)
        }
        for folder in (out, tmp_path / "undisturbed")
    )
    assert found == expected
    assert "6 of 6 runs are finished already" in call(path, "--out", out, *quick).output
    # What one of them had begun when it was killed is gone with the next command at the latest.
    assert asides(out) == []
