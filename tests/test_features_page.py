"""The page on features, word for word: its trace, its commands, its config and its policy."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments import trace
from policies.registry import POLICIES
from tests.test_experiment import call, table

PAGE = Path(__file__).parents[1] / "docs" / "traces" / "features.md"
BLOCKS = dict(re.findall(r"```(csv|python|yaml|bash)\n(.*?)```", PAGE.read_text(), re.DOTALL))


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What the page has, as files; its policy is known as long as the tests run."""
    folder = tmp_path_factory.mktemp("page")
    for name, text in {"loads.csv": "csv", "documented_pc_stride.py": "python", "config.yaml": "yaml"}.items():
        (folder / name).write_text(BLOCKS[text])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        for kept in ("_own", "_loaded", "_adapters"):
            patch.setattr(POLICIES, kept, getattr(POLICIES, kept).copy())
        POLICIES.register("pc_stride", "documented_pc_stride:PcStrideConfig")
        yield folder


@pytest.mark.parametrize(
    "arguments",
    [(), ("--jobs", "2"), ("--set", "engine=simpy"), ("--set", "start=warm", "--set", "workload.train_ratio=0.5")],
)
def test_the_page_holds(documented: Path, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    result = call(documented / "config.yaml", "--out", tmp_path / "out", *arguments)
    assert result.exit_code == 0, result.output
    runs = table(tmp_path / "out", "runs.parquet").set_index("arm")
    # Of each counter the third and the fourth access, which are those that are judged after half of the trace.
    assert runs.loc["pc_stride", "n_miss"] == (0 if "start=warm" in arguments else 8 - 4)
    assert runs.loc["none", "n_miss"] == (4 if "start=warm" in arguments else 8)
    # Prefetches of those before are used, and not judged.
    assert runs.loc["pc_stride", "n_prefetch_timely"] == (2 if "start=warm" in arguments else 4)


def test_the_page_s_commands_and_what_they_write(documented: Path, tmp_path: Path) -> None:
    for line in BLOCKS["bash"].splitlines():
        result = CliRunner().invoke(trace.app, shlex.split(line)[2:])
        assert result.exit_code == 0, result.output
    source = "workload.source={kind: compact, path: loads.parquet}"
    result = call(documented / "config.yaml", "--out", tmp_path / "out", "--set", source)
    assert result.exit_code == 0, result.output
    assert table(tmp_path / "out", "runs.parquet").set_index("arm").loc["pc_stride", "n_miss"] == 4


def test_the_page_s_error(documented: Path, tmp_path: Path) -> None:
    sets = ("--set", "workload.source.columns.features={ip: ip}")
    result = call(documented / "config.yaml", "--out", tmp_path / "out", *sets)
    assert result.exit_code == 2
    (expected,) = re.findall(r"```text\n(.*?)\n```", PAGE.read_text())
    assert expected in result.stderr
