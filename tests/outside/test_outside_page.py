"""The page on evictions, workloads and formats of one's own, word for word."""

import re
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from experiments import command, misses, run

PAGE = Path(__file__).parents[2] / "docs" / "outside.md"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its files: a block says in its first line what it is called."""
    folder = tmp_path_factory.mktemp("page")
    for name, text in re.findall(r"```(?:python|yaml)\n# (\S+)\n(.*?)```", PAGE.read_text(), re.DOTALL):
        (folder / name).write_text(text)
    assert {path.name for path in folder.iterdir()} == {"evict.py", "walk.py", "base36.py", "config.yaml"}
    return folder


def test_its_config_runs(written: Path) -> None:
    result = CliRunner().invoke(run.app, [str(written / "config.yaml"), "--out", str(written / "out")])
    assert result.exit_code == 0, result.output
    runs = pd.read_parquet(written / "out" / "runs.parquet").set_index("arm")
    assert runs["engine"].tolist() == ["simpy"] * 2
    assert runs["n_accesses"].tolist() == [2000] * 2
    assert runs.loc["next_n", "n_issued"] > 100


def test_its_format_is_read_and_its_eviction_counted(written: Path) -> None:
    (written / "t.b36").write_text("zz a1 b zz a1 q " * 50)
    said = [str(written / "t.b36"), "--format", f"{written}/base36.py:Base36", "--capacity", "2", "--unit-size"]
    evictions = f"lru,python(class={written}/evict.py:MyLru)"
    result = CliRunner().invoke(misses.app, [*said, "--eviction", evictions, "--out", str(written / "m")])
    assert result.exit_code == 0, result.output
    assert pd.read_parquet(written / "m" / "misses.parquet")["n_misses"].tolist() == [300, 300]


def test_all_three_keep_the_rules_as_it_says(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(written)
    (written / "t.b36").write_text("zz a1 b zz a1 q " * 50)
    commands = re.findall(r"`tierfetch (check [^`]*)`", PAGE.read_text())
    assert len(commands) == 3
    for said in commands:
        result = CliRunner().invoke(command.app, said.split())
        assert result.exit_code == 0, result.output
