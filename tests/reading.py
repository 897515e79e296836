"""Traces opened as a config opens them."""

from pathlib import Path
from typing import Any

from workloads.registry import SOURCES


def opened(path: Path, kind: str = "table", **settings: Any) -> Any:
    """The workload of a trace file."""
    return SOURCES.validate({"kind": kind, "path": str(path), **settings}).build(0)
