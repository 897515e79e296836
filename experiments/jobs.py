"""The option ``--jobs``."""

import os
from typing import Annotated

import typer

_OPTION = typer.Option(
    "--jobs", "-j", min=0, metavar="N",
    help="So many runs at once, in processes; 0: one a core. Runs whose own latencies are measured go alone.",
)  # fmt: skip
Jobs = Annotated[int, _OPTION]
JobsOrNone = Annotated[int | None, _OPTION]
"""As ``Jobs``, where it matters whether a number was said."""


def n_cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
