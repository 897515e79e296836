"""The option ``--jobs``."""

import os
from typing import Annotated

import typer

Jobs = Annotated[
    int,
    typer.Option(
        "--jobs", "-j", min=0, metavar="N",
        help="So many runs at once, in processes; 0: one a core. Runs whose own latencies are measured go alone.",
    ),
]  # fmt: skip


def n_cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
