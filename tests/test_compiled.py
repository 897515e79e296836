"""What machine code is made from: no file is forgotten that would leave an old one in the cache."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.compiled import CHECKED, sources

ROOT = Path(__file__).parents[1]
DECORATORS = {"compiled", "released", "internal", "inlined"}
PACKAGES = ("simulator", "policies", "workloads", "live", "experiments")
FILES = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]


def _module(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin) if spec and spec.origin else None


def used_of_others(path: Path) -> set[Path]:
    """The project's other files that compiled functions of this one take names from."""
    tree = ast.parse(path.read_text())
    origin: dict[str, Path] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGES):
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                try:
                    found = _module(name)
                except ModuleNotFoundError:
                    found = None
                origin[alias.asname or alias.name] = found or _module(str(node.module)) or Path()
    used: set[Path] = set()
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and any(
            isinstance(decorator, ast.Name) and decorator.id in DECORATORS for decorator in function.decorator_list
        ):
            inside = [name for statement in function.body for name in ast.walk(statement)]
            used |= {origin[name.id] for name in inside if isinstance(name, ast.Name) and name.id in origin}
    return used - {path}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_compiled_functions_use_counts(path: Path) -> None:
    assert used_of_others(path) <= set(sources())


def test_plain_python_does_not_count() -> None:
    counted = {path.relative_to(ROOT).as_posix() for path in sources()}
    plain = {
        "policies/gate.py", "policies/fdp.py", "policies/registry.py", "policies/base.py", "policies/next_n.py",
        "simulator/accounting.py", "simulator/engine.py", "simulator/model/memory.py", "workloads/readers/rows.py",
        "experiments/run.py",
    }  # fmt: skip
    assert all((ROOT / name).exists() for name in plain)
    assert not plain & counted


@pytest.mark.skipif(CHECKED, reason="nothing is compiled here")
def test_a_part_is_no_function_for_python() -> None:
    code = "from simulator.flight import find\nfind(1, 2)\n"
    done = subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Error" in done.stderr
