"""The page on traces: its commands are ones that the programs take, and every format has its recipe."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments import misses, record, trace
from workloads.formats import formats

PAGE = (Path(__file__).parents[1] / "docs" / "traces.md").read_text()
_JOINED = re.sub(r"\\\n\s*", "", PAGE)
COMMANDS = sorted(
    {
        line.strip().split("#")[0].strip() if " # " in line or "   #" in line else line.strip()
        for line in _JOINED.splitlines()
        if line.strip().startswith("tierfetch ")
    }
)


def test_there_are_commands() -> None:
    assert len(COMMANDS) > 30


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_taken(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are not there: that is what it says, and not that it does not know an option."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TIERFETCH_TRACES", str(tmp_path))
    words = shlex.split(command)[1:]
    app = {"trace": trace.app, "misses": misses.app, "record": record.app}[words[0]]
    result = CliRunner().invoke(app, words[1:])
    if words[1] == "formats":
        assert result.exit_code == 0
        return
    assert result.exit_code == 2, result.output
    assert "no such file" in result.stderr.lower().replace("\n", " "), result.stderr


def test_every_format_has_its_recipe() -> None:
    for kind in formats():
        assert f"`{kind}`" in PAGE or kind in ("compact", "table", "binary_ids", "addresses"), kind
