"""What is told of the machine beside its figures."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.calibration.levels import FILE, HBM, REMOTE, Level
from simulator.errors import InputError
from simulator.units import parse_bytes

_CGROUPS = ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes")
_LEAST_REGION, _TIMES_CACHE = 256 << 20, 8
BUSY_LOAD_RATIO = 0.5
"""With so much of a core asked for by others, times are those of a busy machine."""


def memory_bytes(root: Path = Path("/")) -> int | None:
    """What this process may have: the machine's memory, or what its container leaves it."""
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else None
    for name in _CGROUPS:
        try:
            limit = int((root / name).read_text())
        except (OSError, ValueError):
            # No such limit, or the word for none.
            continue
        there = min(limit, there) if there is not None else limit
    return there


def cache_bytes(root: Path = Path("/")) -> int | None:
    """The largest cache of the first core; None where Linux does not say."""
    found = []
    for file in (root / "sys/devices/system/cpu/cpu0/cache").glob("index*/size"):
        try:
            found.append(parse_bytes(f"{file.read_text().strip()}iB"))
        except (OSError, ValueError):
            continue
    return max(found, default=None)


def region_bytes() -> int:
    """Of memory that random places are in: several times the largest cache, if the machine has so much."""
    wanted = max(_LEAST_REGION, _TIMES_CACHE * (cache_bytes() or 0))
    return min(wanted, max((memory_bytes() or wanted) // 4, 1 << 20))


def facts_of(levels: Sequence[Level], device: str) -> dict[str, Any]:
    """CPU, kernel, memory, disks, GPU: what a preset says of where it was measured."""
    from experiments.calibration.direct_file import disk_of
    from experiments.calibration.remote import shown
    from experiments.provenance import provenance

    of_gpu: dict[str, Any] = {}
    if any(level.kind == HBM for level in levels):
        from policies.models.device import pick_device
        from policies.models.provenance import of_device

        of_gpu = of_device(pick_device(device))
    found = provenance(of_gpu) | {"memory_bytes": memory_bytes(), "cache_bytes": cache_bytes()}
    for level in levels:
        if level.kind == FILE:
            found[level.name] = {"path": level.target, **disk_of(Path(level.target))}
        elif level.kind == REMOTE:
            found[level.name] = {"url": shown(level.target)}
    return found


def busy(load_average: Sequence[float], n_cpus: int | None) -> str | None:
    """A warning, if others use the machine."""
    per_core = load_average[0] / (n_cpus or 1)
    if per_core <= BUSY_LOAD_RATIO:
        return None
    return f"the machine is busy: a load average of {load_average[0]:.2f} on {n_cpus} cores"


def check_memory(n_bytes: int) -> None:
    """Raises InputError if the machine has not so much."""
    there = memory_bytes()
    if there is not None and n_bytes > there // 2:
        raise InputError(
            f"--region, --block and --at-once: take {n_bytes} B of memory, more than half of the {there} B there are; "
            "expected less"
        )
