"""How commands refuse: a printable line of bounded length for each problem, and a folder as it was."""

import json
import os
import signal
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import typer

from benchmarks.campaign.folders import asides, differences, present
from experiments import progress
from experiments.exits import exit_codes
from experiments.interrupts import Interrupts, none_for_children
from experiments.tables import make_folder
from simulator.errors import InputError
from tests.test_experiment import call, config, table, write
from tests.test_faults import PLAIN, edited


def phases() -> dict[str, Any]:
    """The small config with two phases, of which by-phase tables can tell."""
    of_all = {"accesses": 60, "block": "4 KiB"}
    parts = [{"kind": "sequential", **of_all}, {"kind": "pointer_chase", "n_keys": 9, **of_all}]
    content = config(arms=PLAIN)
    content["workload"] = {"source": {"kind": "phases", "phases": parts}}
    return content


def refused(*arguments: object) -> list[str]:
    """The lines that a refusal says."""
    result = call(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ")
    return str(result.stderr).splitlines()


# -- lines -------------------------------------------------------------------------------------------------------------
def test_a_message_is_a_line_whatever_it_quotes(tmp_path: Path) -> None:
    path = write(tmp_path, edited("a\nb\x1b[2J", 1))
    (line,) = refused(path, "--out", tmp_path / "out")
    assert "a\\nb\\x1b[2J" in line
    (line,) = refused(path, "--set", "x\ny", "--out", tmp_path / "out")
    assert line == "error: --set x\\ny: expected key.path=value"


def test_a_message_has_an_end(tmp_path: Path) -> None:
    (line,) = refused(write(tmp_path, edited("system.tiers.0.capacity", "9" * 50_000)), "--out", tmp_path / "out")
    assert len(line) < 1020
    assert "system.tiers.0.capacity: expected a size" in line
    # What stands at the end is what was expected, or given.
    assert line.endswith("999'")


def test_problems_are_a_line_each_but_not_without_end(tmp_path: Path) -> None:
    lines = refused(write(tmp_path, edited("baseline", 3) | {"unknown": 1}), "--out", tmp_path / "out")
    assert [line.rpartition("config.yaml: ")[2].partition(":")[0] for line in lines] == ["baseline", "unknown"]
    arms = [{"name": f"a{i}", "policy": {"kind": "nobody"}} for i in range(30)]
    lines = refused(write(tmp_path, config(arms=arms)), "--out", tmp_path / "out")
    assert len(lines) == 11
    assert lines[-1] == "and 20 more"


@pytest.mark.parametrize(
    "text", ["a: !!timestamp x", "a: !!bool x", "a: !!int x", "a: !!float x", "a: !!binary é", "a: \x1b[2J", "a: \x00"]
)
def test_a_tag_or_a_character_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    (line,) = refused(tmp_path / "c.yaml")
    assert "c.yaml: " in line
    assert "is not YAML" in line


def test_half_a_character_is_no_kind(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps(edited("workload.source.kind", "\ud800")))
    (line,) = refused(path)
    assert "unknown kind '\\\\ud800'" in line


def test_a_key_is_not_suggested_for_itself(tmp_path: Path) -> None:
    """It is one elsewhere."""
    (line,) = refused(write(tmp_path, edited("output.rate", 1)))
    assert "unknown key 'rate'" in line
    assert "'rate'?" not in line


# -- folders -----------------------------------------------------------------------------------------------------------
def test_a_folder_that_was_made_for_nothing_goes(tmp_path: Path) -> None:
    """With those above it; one that was there stays, and so does another's lock."""
    content = edited("workload.arrivals.think", "1000000 s")
    content["workload"]["source"]["accesses"] = 6000
    path = write(tmp_path, content)
    refused(path, "--out", tmp_path / "a" / "b")
    assert not (tmp_path / "a").exists()
    (tmp_path / "a").mkdir()
    refused(path, "--out", tmp_path / "a")
    assert list((tmp_path / "a").rglob("*.parquet")) == []
    assert (tmp_path / "a").is_dir()


def test_a_probe_that_was_left_is_nobody_s_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a command that was killed as it looked whether it can write."""
    unlink = Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda self, **more: None)
    make_folder(tmp_path / "out")
    monkeypatch.setattr(Path, "unlink", unlink)
    assert len(asides(tmp_path / "out")) == 1
    assert call(write(tmp_path, config(arms=PLAIN, seeds=[0])), "--out", tmp_path / "out").exit_code == 0


@pytest.mark.parametrize("error", [MemoryError, OSError, KeyboardInterrupt])
@pytest.mark.parametrize("n_before", range(4))
def test_a_run_whose_tables_are_in_place_in_part_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException], n_before: int
) -> None:
    """Renaming one after another may end half-way; the same command goes on, in a new folder too."""
    replace, n = Path.replace, [0]

    def replace_some(self: Path, target: Path) -> Path:
        n[0] += target.parent.name in ("accesses", "prefetches", "inferences", "windows")
        if n[0] == n_before + 1:
            raise error
        return replace(self, target)

    path, out = write(tmp_path, config(arms=PLAIN, seeds=[0])), tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace_some)
        assert call(path, "--out", out).exit_code == (130 if error is KeyboardInterrupt else 2)
    assert list(out.glob("*/*")) == []
    assert call(path, "--out", out).exit_code == 0


@pytest.fixture
def whole(tmp_path: Path) -> tuple[Path, Path]:
    """A config, and a folder of its results."""
    path, out = write(tmp_path, phases()), tmp_path / "out"
    assert call(path, "--out", out).exit_code == 0
    assert call(path, "--out", tmp_path / "whole").exit_code == 0
    return path, out


@pytest.mark.parametrize(("name", "is_file"), [("runs.parquet", True), ("accesses", False), (".runs", False)])
def test_a_folder_for_a_table_or_a_table_for_a_folder(whole: tuple[Path, Path], name: str, is_file: bool) -> None:
    path, out = whole
    if is_file:
        (out / name).unlink()
        (out / name).mkdir()
    else:
        if (out / name).exists():
            (out / name).rename(out.parent / "aside")
        (out / name).write_text("a file")
    before = present(out)
    (line,) = refused(path, "--out", out)
    assert str(out / name) in line
    assert "--force" in line
    assert present(out) == before
    assert call(path, "--out", out, "--force").exit_code == 0
    assert differences(out, out.parent / "whole") == []


@pytest.mark.parametrize("name", ["accesses/none-0.parquet", "windows/next_n-1.parquet"])
def test_a_pipe_or_a_folder_for_a_file_is_damage_like_any_other(whole: tuple[Path, Path], name: str) -> None:
    path, out = whole
    for make in (os.mkfifo, os.mkdir):
        (out / name).unlink()
        make(out / name)
        said = call(path, "--out", out)
        assert said.exit_code == 0, said.output
        assert "3 of 4 runs are finished already" in said.output
        assert differences(out, out.parent / "whole") == []


def test_a_folder_for_the_small_file_of_a_run_is_in_nobody_s_way(whole: tuple[Path, Path]) -> None:
    path, out = whole
    (out / "accesses" / "none-0.parquet").unlink()
    (out / ".runs" / "none-0.json").mkdir(parents=True)
    assert call(path, "--out", out).exit_code == 0
    assert differences(out, out.parent / "whole") == []


def test_a_pipe_for_a_manifest_is_damaged(whole: tuple[Path, Path]) -> None:
    path, out = whole
    (out / "manifest.json").unlink()
    os.mkfifo(out / "manifest.json")
    (line,) = refused(path, "--out", out)
    assert "manifest.json: is damaged" in line
    assert call(path, "--out", out, "--force").exit_code == 0
    assert differences(out, out.parent / "whole") == []


def test_results_of_other_code_leave_no_files(whole: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """They are in no table of runs any more; who reads a folder of tables would read them all the same."""
    path, out = whole
    monkeypatch.setattr("experiments.single.code_hash", lambda: "other")
    assert call(path, "--out", out, "--seeds", "0").exit_code == 0
    assert {row[1] for row in table(out, "runs.parquet")[["arm", "seed"]].values.tolist()} == {0}
    assert set(table(out, "accesses")["seed"]) == {0}
    assert list(out.glob("*/*-1.*")) == []


# -- tables ------------------------------------------------------------------------------------------------------------
def test_tables_of_each_run_have_all_that_runs_has(whole: tuple[Path, Path]) -> None:
    """Of fewer seeds than before, too."""
    path, out = whole
    assert call(path, "--out", out, "--seeds", "0").exit_code == 0
    for name in ("runs", "attribution", "by_phase"):
        assert set(table(out, f"{name}.parquet")["seed"]) == {0, 1}, name


def test_of_fewer_repeats_as_well(tmp_path: Path) -> None:
    timed = {"name": "timed", "policy": {"kind": "next_n"}, "charge": {"kind": "measured"}}
    path = write(tmp_path, config(arms=[PLAIN[0], timed], seeds=[0], repeats=2))
    for more in ([], ["--set", "repeats=1"]):
        assert call(path, "--out", tmp_path / "out", *more).exit_code == 0
    for name in ("runs", "attribution"):
        assert set(table(tmp_path / "out", f"{name}.parquet")["repeat"]) == {0, 1}, name


def test_quiet_leaves_what_was_asked_for_by_name(whole: tuple[Path, Path]) -> None:
    path, out = whole
    said = call(path, "--out", out, "--quiet", "--by", "phase", "--seeds", "0")
    assert said.exit_code == 0, said.output
    assert "by phase" in said.output
    assert "sequential" in said.output
    assert "Tables:" not in said.output
    assert call(path, "--out", out, "--quiet").output == ""


# -- interrupts --------------------------------------------------------------------------------------------------------
def test_a_process_that_starts_sees_no_interrupt() -> None:
    """It would end with a traceback, beside the line of the one that started it."""
    code = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"

    def is_blocked() -> str:
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    with none_for_children():
        assert is_blocked() == "True\n"
    assert is_blocked() == "False\n"


def test_an_interrupt_that_python_drops_ends_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does in what is called while an object is cleaned up."""
    finish = progress.OneRun.finish

    def finish_and_drop(self: Any, row: Any) -> None:
        finish(self, row)
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(progress.OneRun, "finish", finish_and_drop)
    result = call(write(tmp_path, config(arms=PLAIN)), "--out", tmp_path / "out", "--jobs", "1")
    assert result.exit_code == 130, result.output
    assert len(table(tmp_path / "out", "runs.parquet")) == 1


def test_what_was_half_made_goes_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    """A constructor that an interrupt ends leaves an object whose end fails."""

    class HalfMade:
        def __del__(self) -> None:
            raise AttributeError

    def makes() -> None:
        half = HalfMade()  # noqa: F841
        raise KeyboardInterrupt

    with pytest.raises(typer.Exit), exit_codes("finished runs are kept"):
        makes()
    assert capsys.readouterr().err == "interrupted: finished runs are kept\n"


def test_an_interrupt_that_a_callback_drops_is_raised_once_and_told_never(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Interrupted:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGINT)

    with closing(Interrupts()) as interrupts:
        Interrupted()
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
    assert capsys.readouterr().err == ""


def test_errors_with_several_problems_are_told_apart() -> None:
    assert str(InputError("a", "b")) == "a\nb"
    assert str(InputError("a")) == "a"
