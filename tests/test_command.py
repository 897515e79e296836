"""The command ``tierfetch``: help of every command, lazily imported; a config for one's own trace; a dry run."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from experiments import command, init, run
from experiments.config_schema import schema
from experiments.loading import load
from experiments.overrides import parse_yaml
from experiments.shipped import preset_names

ROOT = Path(__file__).parents[1]


def call(*arguments: Any) -> Any:
    return CliRunner().invoke(command.app, list(map(str, arguments)), prog_name="tierfetch")


def paths(group: Any, *names: str) -> list[tuple[str, ...]]:
    """Of a command and all below it, how each is called."""
    below = getattr(group, "commands", {})
    return [names, *(path for name in below for path in paths(below[name], *names, name))]


TREE = paths(typer.main.get_command(command.app))


def test_there_are_commands() -> None:
    assert len(TREE) > 15
    assert {("run",), ("trace", "info"), ("break-even",), ("schema",), ("init",)} < set(TREE)


@pytest.mark.parametrize("path", TREE, ids=lambda path: " ".join(path) or "tierfetch")
def test_help(path: tuple[str, ...]) -> None:
    found = call(*path, "--help")
    assert found.exit_code == 0, found.output
    assert f"Usage: {' '.join(('tierfetch', *path))}" in found.output
    command_ = typer.main.get_command(command.app)
    for name in path:
        command_ = command_.commands[name]  # type: ignore[attr-defined]
    # Every command says how it ends, and every parameter what it is.
    assert "Exit codes:" in " ".join((command_.help or "").split()) or hasattr(command_, "commands")
    for parameter in command_.params:
        if parameter.name not in ("help", "install_completion", "show_completion"):
            assert getattr(parameter, "help", None), parameter.name


def test_the_modules_of_all_commands_are_the_commands() -> None:
    """A module with an app that is no command, or a command that is none."""
    with_app = {
        path.stem for path in (ROOT / "experiments").glob("*.py") if re.search(r"^app = typer", path.read_text(), re.M)
    }
    assert with_app == {module.removeprefix("experiments.") for module in command.COMMANDS.values()} | {"command"}
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"tierfetch": "experiments.command:main"}


def test_version_typos_and_completion() -> None:
    assert call("--version").output == f"tierfetch {version('tierfetch')}\n"
    typo = call("rum", "mixed")
    assert typo.exit_code == 2
    assert "No such command 'rum'. Did you mean 'run'?" in typo.stderr
    assert "--show-completion" in call("--help").output
    # Bad input ends every command alike.
    for arguments in (["run", "nothing.yaml"], ["trace", "info", "nothing"], ["policies", "nothing"]):
        found = call(*arguments)
        assert (found.exit_code, found.stderr[:7]) == (2, "error: "), arguments


def test_help_is_there_at_once() -> None:
    code = (
        "import sys; from experiments import command\n"
        "try: command.app(['--help'], prog_name='tierfetch')\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'numba', 'numpy', 'pydantic', 'pyarrow', 'pandas'} & sys.modules.keys()))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "break-even" in found.stdout
    assert found.stdout.splitlines()[-1] == "[]"


# -- init --------------------------------------------------------------------------------------------------------------
@pytest.fixture
def accesses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of a form of its own, in a folder where the command runs."""
    monkeypatch.chdir(tmp_path)
    rows = [f"{i * 10},{i % 40 * 8 + (i % 7 == 0)},4096,x" for i in range(400)]
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(["ts,block,size,who", *rows]) + "\n")
    return path


def made(*arguments: str) -> str:
    found = CliRunner().invoke(init.app, list(arguments))
    assert found.exit_code == 0, found.output
    return Path("config.yaml").read_text()


def test_a_config_for_a_trace_of_ones_own_runs_at_once(accesses: Path) -> None:
    text = made("--trace", accesses.name)
    assert "columns: {key: block, size_bytes: size} # guessed from their names" in text
    assert "400 accesses to" in text
    experiment = load(Path("config.yaml"))[""]
    assert [arm.name for arm in experiment.arms] == ["none", "next_n", "markov"]  # Of so few there is little to learn.
    assert "# - lstm" in text
    assert getattr(experiment.arms[1].policy, "stride") == 8  # noqa: B009 - of whichever class it is
    # A tenth of 80 blocks.
    assert experiment.system.tiers[0].capacity == 8 * 4096
    assert len(experiment.system.tiers) == 1
    assert list(Draft202012Validator(schema()).iter_errors(parse_yaml(text, "config.yaml"))) == []
    found = call("run", "config.yaml", "--out", "out")
    assert found.exit_code == 0, found.output
    assert "Lowest mean latency" in found.output


def test_what_is_said_of_the_trace_is_kept(accesses: Path) -> None:
    Path("below").mkdir()
    found = CliRunner().invoke(
        init.app,
        ["--trace", "mine.csv", "--columns", "key=block,time_ns=ts", "--time-unit", "us", "--out", "below/c.yml"],
    )
    assert found.exit_code == 0, found.output
    source: Any = load(Path("below/c.yml"))[""].workload.source
    assert (source.path, source.time_unit) == ("../mine.csv", "us")
    assert (source.columns.key, source.columns.time_ns, source.columns.size_bytes) == ("block", "ts", None)
    assert "guessed" not in Path("below/c.yml").read_text()
    assert load(Path("below/c.yml"))[""].workload.arrivals.kind == "open"


def test_sizes_are_read_where_the_key_is_told(accesses: Path) -> None:
    Path("told.csv").write_text("timestamp,key,size\n1,5,4096\n2,7,8192\n")
    assert CliRunner().invoke(init.app, ["--trace", "told.csv", "--out", "told.yaml"]).exit_code == 0
    source: Any = load(Path("told.yaml"))[""].workload.source
    assert (source.columns.key, source.columns.size_bytes, source.columns.time_ns) == ("key", "size", None)
    assert "guessed" in Path("told.yaml").read_text()


@pytest.mark.parametrize("preset", preset_names())
def test_a_synthetic_one_for_each_machine(preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = made("--preset", preset)
    assert f"preset: {preset} " in text
    assert [arm.policy.kind for arm in load(Path("config.yaml"))[""].arms] == ["none", "next_n", "markov", "lstm"]


def test_init_refuses(accesses: Path) -> None:
    Path("there.yaml").write_text("mine")
    Path("other.csv").write_text("a,b\n1,2\n")
    for arguments, message in (
        (["--out", "there.yaml"], "--out there.yaml: is there already; expected another name"),
        (["--out", "no/c.yaml"], "--out no/c.yaml: no such folder"),
        (["--out", "c.txt"], "--out c.txt: expected a name that ends in .yaml"),
        (["--trace", "nothing.csv"], "nothing.csv: no such file"),
        (["--trace", "there.yaml"], "--trace there.yaml: is a config; expected a trace"),
        (["--trace", "other.csv"], "other.csv: has no column 'key' (columns.key)"),
        (["--preset", "h200"], "--preset.preset: there is no 'h200'"),
    ):
        found = CliRunner().invoke(init.app, arguments)
        assert found.exit_code == 2, arguments
        assert message in found.stderr, found.stderr
    assert Path("there.yaml").read_text() == "mine"
    assert not Path("config.yaml").exists()


def test_the_pages_config_for_ones_own_table_is_short_and_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "configs.md").read_text(), re.S)[0]
    assert len(text.splitlines()) <= 15
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(text)
    Path("accesses.csv").write_text("block\n" + "\n".join(str(i * i % 97) for i in range(600)) + "\n")
    experiment = load(Path("config.yaml"))[""]
    assert experiment.system.tiers[0].capacity == 80 * 10**9
    # As it is, but for what is tried and trained for long.
    quick = ("--set", "arms.lstm.policy.backend=eager", "--set", "arms.lstm.policy.epochs=1")
    found = call("run", "config.yaml", "--out", "out", *quick)
    assert found.exit_code == 0, found.output
    assert all(f"{arm}-0.parquet" in {path.name for path in Path("out/accesses").iterdir()} for arm in ("none", "lstm"))


def test_init_does_not_replace_what_came_to_be_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def slow(out: Path, *_: Any, **__: Any) -> str:
        out.write_text("theirs")
        return "ours"

    monkeypatch.setattr("experiments.first_config.first_config", slow)
    found = CliRunner().invoke(init.app, [])
    assert (found.exit_code, found.stderr) == (2, "error: config.yaml: File exists\n")
    assert Path("config.yaml").read_text() == "theirs"


# -- dry runs ----------------------------------------------------------------------------------------------------------
def test_a_dry_run_says_what_would_run_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(
        "workload: {source: {kind: zipf, n_keys: 100, accesses: 9000}}\narms: [none, next_n]\nseeds: [1, 2]\n"
    )
    dry = CliRunner().invoke(run.app, ["c.yaml", "--dry-run"])
    assert dry.exit_code == 0, dry.output
    assert "4 runs: arms none, next_n; seeds 1, 2" in dry.output
    assert "9,000 accesses each, 0 of them to learn from; 9,000 are simulated" in dry.output
    assert "0 runs are finished already; 4 to make" in dry.output
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]
    told = float(re.search(r"disk: about ([\d.]+) kB", dry.output)[1]) * 1000  # type: ignore[index]
    assert CliRunner().invoke(run.app, ["c.yaml", "--quiet", "--seeds", "2", "--out", "out"]).exit_code == 0
    took = sum(path.stat().st_size for path in Path("out").glob("*/*"))
    assert told / 2 == pytest.approx(took, rel=0.3)
    before = {path: path.stat().st_mtime_ns for path in Path("out").rglob("*")}
    again = CliRunner().invoke(run.app, ["c.yaml", "--dry-run", "--out", "out"]).output
    assert "2 runs are finished already; 2 to make" in again
    only = CliRunner().invoke(run.app, ["c.yaml", "--dry-run", "--out", "out", "--seeds", "2"]).output
    assert "2 runs are finished already; 0 to make" in only
    assert "time:" not in only
    assert (
        "0 runs are finished already"
        in CliRunner().invoke(run.app, ["c.yaml", "--dry-run", "--force", "--out", "out"]).output
    )
    assert {path: path.stat().st_mtime_ns for path in Path("out").rglob("*")} == before


def test_a_dry_run_names_all_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(
        "workload: {source: {kind: ids, path: nothing.txt}}\n"
        "arms: [none, {name: gpu, policy: lstm(backend=cuda_graph)},\n"
        "  {name: again, policy: next_n, charge: {kind: replay, source: nowhere}}]\n"
    )
    found = CliRunner().invoke(run.app, ["c.yaml", "--dry-run"])
    assert found.exit_code == 2
    lines = found.stderr.splitlines()
    assert "nothing.txt: no such file" in lines[0]
    assert torch.cuda.is_available() or any(line.startswith("arm gpu: ") for line in lines)
    assert any("nowhere" in line for line in lines)
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]
