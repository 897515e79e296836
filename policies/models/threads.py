"""How many threads training may have: the cores of this process, shared with the runs beside it. No torch in sight."""

import os

_n_beside = 1


def share_cores(n_beside: int) -> None:
    """With as many processes at once, this one among them."""
    global _n_beside  # noqa: PLW0603 - of the process
    _n_beside = max(n_beside, 1)


def n_threads() -> int:
    """At least one."""
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(n_cores // _n_beside, 1)
