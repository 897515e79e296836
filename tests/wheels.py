"""The wheel, built and installed for tests of what it does far from the sources."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[1]
PACKAGES = ("simulator", "policies", "workloads", "live", "experiments", "tierfetch")


def pip(*arguments: Any) -> None:
    call = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments), "--no-deps", "--no-index"]
    subprocess.run(call, check=True, capture_output=True)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without a network, from a copy: what an earlier build left beside the sources would be in it."""
    return _once(tmp_path_factory, "wheel", _built)


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the wheel installs, and nothing else."""

    def make(target: Path) -> Path:
        pip("install", "--target", target, wheel)
        return target

    return _once(tmp_path_factory, "installed", make)


def _once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Path]) -> Path:
    """What ``make`` makes in a folder: by the first of all workers that wants it, while the others wait."""
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    place, done = shared / name, shared / f"{name}-is-there"
    with FileLock(shared / f"{name}.lock"):
        if not done.exists():
            place.mkdir()
            done.write_text(str(make(place)))
    return Path(done.read_text())


def _built(place: Path) -> Path:
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place / name)
    for name in (*PACKAGES, "configs"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, place / name, symlinks=True, ignore=ignored)
    pip("wheel", "--no-build-isolation", "--wheel-dir", place / "dist", place)
    (found,) = (place / "dist").glob("*.whl")
    return found
