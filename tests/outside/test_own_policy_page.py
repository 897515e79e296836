"""The page on policies of one's own, word for word: its files, its config, its commands, and what they print."""

import re
import runpy
from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from experiments import check, command, run

PAGE = (Path(__file__).parents[2] / "docs" / "own_policy.md").read_text()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its files: a block says in its first line what it is called."""
    folder = tmp_path_factory.mktemp("page")
    blocks = re.findall(r"```(?:python|yaml)\n(.*?)```", PAGE, re.DOTALL)
    for text in blocks:
        (folder / text.splitlines()[0].removeprefix("# ")).write_text(text)
    names = {"my_policy.py", "config.yaml", "stepping.py", "walker.py", "elsewhere.py", "next.py", "test_mine.py"}
    assert {path.name for path in folder.iterdir()} == names
    return folder


@pytest.fixture(autouse=True)
def _there(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(written)


def test_its_commands_and_all_its_policies_in_one_experiment(written: Path) -> None:
    """Its config, with the page's other policies as further arms."""
    commands = [line.partition("#")[0].split() for line in re.findall(r"^tierfetch (check my.*|run .*)$", PAGE, re.M)]
    assert [words[0] for words in commands] == ["check", "run"]
    checked = CliRunner().invoke(command.app, commands[0])
    assert checked.exit_code == 0, checked.output
    described = yaml.safe_load((written / "config.yaml").read_text())
    described["workload"]["train_ratio"] = 0.5
    described["workload"]["source"] = {"kind": "python", "class": "./steps.py:Steps"}
    described["arms"] += [
        {"name": "stepping", "policy": {"kind": "python", "class": "./stepping.py:Stepping"}},
        {"name": "walker", "policy": {"kind": "python", "class": "./walker.py:Walker"}},
        {"name": "elsewhere", "policy": {"kind": "file", "path": "answers.parquet"}, "charge": {"kind": "replay"}},
    ]
    (written / "steps.py").write_text(
        "import numpy as np\nclass Steps:\n    def batches(self):\n"
        "        yield {'key': np.arange(3000) * 3 % 3001, 'layer': np.arange(3000) % 9}\n"
    )
    runpy.run_path("elsewhere.py")
    (written / "all.yaml").write_text(yaml.safe_dump(described))
    for config in (commands[1][1], "all.yaml"):
        result = CliRunner().invoke(run.app, [config, "--out", f"out-{config}"])
        assert result.exit_code == 0, result.output
    rows = pd.read_parquet("out-config.yaml/runs.parquet").set_index("arm")
    assert rows.loc["mine", "mean_latency_ns"] < 0.7 * rows.loc["none", "mean_latency_ns"]
    rows = pd.read_parquet("out-all.yaml/runs.parquet").set_index("arm")
    same = ["n_issued", "mean_latency_ns"]
    assert rows.loc["walker", same].tolist() == rows.loc["next_n", same].tolist()
    # It has learned that steps are of 3, and is measured, as it learns.
    assert rows.loc["stepping", "accuracy_ratio"] > 0.9
    assert rows.loc["stepping", "latencies"] == "measured"
    assert rows.loc["elsewhere", ["latencies", "p50_inference_charged_ns"]].tolist() == ["replay", 5000]


@pytest.mark.parametrize("file", ["stepping.py", "walker.py"])
def test_its_other_policies_keep_the_rules(file: str) -> None:
    result = CliRunner().invoke(check.app, [file])
    assert result.exit_code == 0, result.output


def test_what_it_says_of_a_bad_one_is_what_is_printed() -> None:
    (printed,) = re.findall(r"```\n(broken .*?)```", PAGE, re.DOTALL)
    result = CliRunner().invoke(check.app, ["next.py:Next", "--quiet"])
    assert result.exit_code == 4
    assert result.output.startswith(printed)


def test_its_test_passes(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(written))
    case = runpy.run_path("test_mine.py")["TestSuccessor"]
    names = [name for name in dir(case) if name.startswith("test_")]
    assert len(names) > 15
    for name in ("test_starts_empty", "test_deterministic", "test_keys_at_both_ends", "test_needs_what_it_reads"):
        getattr(case(), name)()
