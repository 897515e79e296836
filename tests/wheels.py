"""The wheel, built and installed for tests of what it does far from the sources."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("simulator", "policies", "workloads", "live", "experiments", "tierfetch")


def pip(*arguments: Any) -> None:
    call = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments), "--no-deps", "--no-index"]
    subprocess.run(call, check=True, capture_output=True)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without a network, from a copy: what an earlier build left beside the sources would be in it."""
    place = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place / name)
    for name in (*PACKAGES, "configs"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, place / name, symlinks=True, ignore=ignored)
    pip("wheel", "--no-build-isolation", "--wheel-dir", place / "dist", place)
    (found,) = (place / "dist").glob("*.whl")
    return found


@pytest.fixture(scope="session")
def installed(wheel: Path) -> Path:
    """A folder with what the wheel installs, and nothing else."""
    target = wheel.parent / "installed"
    pip("install", "--target", target, wheel)
    return target
