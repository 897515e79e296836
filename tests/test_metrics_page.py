"""docs/metrics.md against the tables: every column there is defined, and nothing that is defined is gone."""

import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from experiments import accuracy, beside, bounds, break_even, latency, misses, study, trace
from experiments.tables import SCHEMAS
from tests.test_experiment import LSTM, call, config, table, write

PAGE = (Path(__file__).parents[1] / "docs" / "metrics.md").read_text()


def documented(name: str) -> list[str]:
    """The columns that a section names, as patterns."""
    section = PAGE.split(f"\n## `{name}`\n", 1)[1].split("\n## ", 1)[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return [re.sub("<[a-z]+>", "[a-z0-9_]+", column) for cell in cells for column in re.findall(r"`([^`]+)`", cell)]


def check(name: str, columns: Any) -> None:
    patterns = documented(name)
    assert len(patterns) == len(set(patterns)), f"{name}: a column is defined twice"
    undefined = [column for column in columns if not any(re.fullmatch(pattern, column) for pattern in patterns)]
    assert undefined == [], f"{name}: not in docs/metrics.md"
    gone = [pattern for pattern in patterns if not any(re.fullmatch(pattern, column) for column in columns)]
    assert gone == [], f"{name}: in docs/metrics.md, but in no table"


@pytest.mark.parametrize("name", SCHEMAS)
def test_tables_with_a_schema(name: str) -> None:
    check(name, SCHEMAS[name].names)


def test_tables_of_an_experiment_its_bounds_and_its_break_even(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "FACTORS", (1.0,))
    path, out = write(tmp_path, config(seeds=[0])), tmp_path / "out"
    assert call(path, "--out", out).exit_code == 0
    for name in ("runs", "comparisons", "attribution"):
        check(name, table(out, f"{name}.parquet").columns)
    result = CliRunner().invoke(bounds.app, [str(path), "--out", str(tmp_path / "bounds"), "--quiet"])
    assert result.exit_code == 0, result.output
    check("bounds", table(tmp_path / "bounds", "bounds.parquet").columns)
    arguments = [str(path), "--out", str(tmp_path / "be"), "--per-decade", "1", "--map", "--quiet"]
    result = CliRunner().invoke(break_even.app, arguments)
    assert result.exit_code == 0, result.output
    for name in ("break_even", "crossings", "map"):
        check(name, table(tmp_path / "be", f"{name}.parquet").columns)
    assert tuple(table(tmp_path / "be", "break_even.parquet").columns) == break_even.COLUMNS
    assert LSTM["kind"] == "lstm"


def test_tables_of_the_other_commands(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("1\n2\n1\n")
    run = CliRunner().invoke
    arguments = [
        str(tmp_path / "t.txt"),
        "--unit-size",
        "--capacity",
        "1",
        "--out",
        str(tmp_path / "misses"),
        "--quiet",
    ]
    assert run(misses.app, arguments).exit_code == 0
    check("misses", table(tmp_path / "misses", "misses.parquet").columns)
    check("beside", beside.COLUMNS)
    found = run(trace.app, ["info", str(tmp_path / "t.txt"), "--out", str(tmp_path / "info"), "--quiet"])
    assert found.exit_code == 0, found.output
    for name in ("summary", "working_set", "reuse", "deltas"):
        check(name, table(tmp_path / "info", f"{name}.parquet").columns)
    arguments = ["--patterns", "sequential", "--encodings", "delta", "--accesses", "1000", "--epochs", "1", "--quiet"]
    result = run(accuracy.app, [*arguments, "--out", str(tmp_path / "accuracy")])
    assert result.exit_code == 0, result.output
    check("accuracy", table(tmp_path / "accuracy", "accuracy.parquet").columns)
    arguments = ["--device", "cpu", "--windows", "4", "--calls", "100", "--classes", "10", "--quiet"]
    assert run(latency.app, [*arguments, "--out", str(tmp_path / "latency")]).exit_code == 0
    for name in ("latency", "latency_rounds", "latency_parts"):
        check(name, table(tmp_path / "latency", f"{name}.parquet").columns)
