"""The wheel: what it has in it, and that it runs in a folder far from the sources, with configs and presets inside."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from experiments.shipped import CONFIGS
from tests.wheels import PACKAGES, ROOT

SMALL = ["arms=[none, next_n]", "workload.source={kind: zipf, n_keys: 300, accesses: 300}"]


def call(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The console script, with the packages of this environment and ours from the wheel."""
    # Compiling for a place that was never there takes half a minute; what is compiled is tested elsewhere.
    environment = {**os.environ, "PYTHONPATH": str(installed), "NUMBA_DISABLE_JIT": "1"}
    return subprocess.run(
        [str(installed / "bin" / "tierfetch"), *arguments],
        capture_output=True, text=True, check=False, cwd=folder, env=environment,
    )  # fmt: skip


def test_all_of_our_files_are_in_it(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    ours = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if "configs" not in path.parts
    }
    configs = {f"tierfetch/configs/{path.relative_to(CONFIGS).as_posix()}" for path in CONFIGS.rglob("*.*")}
    assert len(configs) > 9
    of_page = {path.relative_to(ROOT).as_posix() for path in (ROOT / "experiments" / "page").glob("page.*")}
    assert len(of_page) == 3
    typed = {f"{package}/py.typed" for package in PACKAGES}
    assert ours | configs | of_page | typed <= names
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == set(PACKAGES)


def test_it_runs_elsewhere(installed: Path, tmp_path: Path) -> None:
    sets = [part for text in SMALL for part in ("--set", text)]
    preset = ["--set", "system={preset: cpu, tiers: {dram: {capacity: 8 MiB}}}"]
    # Processes of its own find what is the wheel's, too.
    found = call(installed, tmp_path, "run", "mixed", "--seeds", "0", *sets, *preset, "--jobs", "2")
    assert found.returncode == 0, found.stderr
    assert "Lowest mean latency" in found.stdout
    (folder,) = (tmp_path / "results").iterdir()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [tier["name"] for tier in manifest["config"]["system"]["tiers"]] == ["dram"]
    assert len(list((folder / "accesses").iterdir())) == 2


def test_what_it_knows_is_the_wheels(installed: Path, tmp_path: Path) -> None:
    """In one process: each one takes seconds."""
    code = (
        "import sys, experiments, live, policies, simulator, tierfetch, workloads\n"
        "from experiments import command\n"
        "from experiments.shipped import CONFIGS\n"
        "modules = experiments, live, policies, simulator, tierfetch, workloads\n"
        "print([module.__file__ for module in modules], CONFIGS, sep='|')\n"
        "for arguments in (['--version'], ['policies'], ['schema']):\n"
        "    try: command.app(arguments, prog_name='tierfetch')\n"
        "    except SystemExit as end: assert not end.code\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path, env=environment
    ).stdout
    places, said, listing = found.partition("\n")[0], *found.partition("\n")[2].split("\n", 1)
    modules, configs = places.split("|")
    assert modules.count(str(installed)) == len(PACKAGES)
    assert Path(configs) == installed / "tierfetch" / "configs"
    assert said.startswith("tierfetch ")
    assert "Prefetch policies" in listing
    assert json.loads(listing[listing.index("\n{") :]) == json.loads((CONFIGS / "schema.json").read_text())
    assert list(tmp_path.iterdir()) == []
