"""Whose a validation's folder is, and what is left in it."""

import os
from pathlib import Path

import pytest

from experiments.folder import LOCK, locked
from experiments.validation.folder import begun, check_place
from experiments.validation.sides import scratch_folder
from simulator.errors import InputError


def put(path: Path, text: str = "mine") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", ["machine.yaml", "validation.json", "cache/r7/thesis", "live/notes", "machine/r0/x"])
def test_nothing_is_replaced_unless_forced(name: str, tmp_path: Path) -> None:
    put(tmp_path / name)
    with pytest.raises(InputError, match=f"holds {name.split('/')[0]} already; expected another folder, or --force"):
        check_place(tmp_path, is_forced=False)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cache/r7/thesis", "r7: holds other files"), ("live", "live is no folder; expected a folder"),
        ("validation.json/x", "validation.json is a folder; expected a file"), ("cache/r7", "r7: is a file"),
    ],
)  # fmt: skip
def test_what_no_validation_has_left_is_not_replaced_at_all(name: str, said: str, tmp_path: Path) -> None:
    file = put(tmp_path / name)
    with pytest.raises(InputError, match=said):
        check_place(tmp_path, is_forced=True)
    assert file.read_text() == "mine"


def test_what_stands_beside_runs_of_an_earlier_one_stays(tmp_path: Path) -> None:
    for name in ("manifest.json", "runs.parquet", "notes"):
        put(tmp_path / "live" / "r3" / name)
        put(tmp_path / "live" / "r4" / name.replace("notes", "attribution.parquet"))
    put(tmp_path / "validation.json")
    check_place(tmp_path, is_forced=True)
    with begun(tmp_path, 2, "a preset"):
        assert {path.name for path in tmp_path.iterdir()} == {LOCK, "live", "machine.yaml"}
        assert [path.name for path in (tmp_path / "live").rglob("*")] == ["r3", "notes"]


def test_a_preset_is_never_away(tmp_path: Path) -> None:
    """It may be the one that --machine names."""
    preset = put(tmp_path / "machine.yaml", "a preset")
    with pytest.raises(KeyboardInterrupt), begun(tmp_path, 1, "a preset"):
        raise KeyboardInterrupt
    assert preset.read_text() == "a preset"


def test_one_validation_at_a_time(tmp_path: Path) -> None:
    with begun(tmp_path, 1, ""), pytest.raises(InputError, match="another process is writing"):
        begun(tmp_path, 1, "").__enter__()


def test_a_folder_in_which_nothing_was_run_goes(tmp_path: Path) -> None:
    out = tmp_path / "results" / "of mine"
    with pytest.raises(InputError), begun(out, 1, "a preset"):
        raise InputError("the probe has failed")
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileExistsError), begun(out, 1, "a preset"):
        put(out / "live" / "r0" / "x").mkdir()
    assert (out / "live" / "r0").exists()


def test_what_a_killed_one_has_left_of_its_blocks_goes(tmp_path: Path) -> None:
    left, in_use, young = (tmp_path / f".tierfetch-validate-{name}" for name in ("left", "used", "young"))
    for folder in (left, in_use, young):
        folder.mkdir()
        (folder / "blocks-0").write_bytes(b"x")
    for folder in (left, in_use):
        os.utime(folder, (0, 0))
    with locked(in_use):
        os.utime(in_use, (0, 0))
        with scratch_folder(tmp_path, 1000) as made:
            assert made.is_dir()
            assert not left.exists()
            assert in_use.is_dir()
            assert young.is_dir()
            os.utime(made, (0, 0))
            with scratch_folder(tmp_path, 1000):
                assert made.is_dir(), "it is in use"
        assert not made.exists()
