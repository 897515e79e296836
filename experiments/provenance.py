"""Where times were measured: the host, and what a policy says of its device. Told beside them, sealed with them."""

import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_CONTAINER = re.compile(r"docker|kubepods|containerd|podman|lxc|libpod")


def provenance(of_policy: Mapping[str, Any], root: Path = Path("/")) -> dict[str, Any]:
    """Facts by name, None where the system does not tell; ``root`` is where its own files lie.

    No part of a run's hash, as they differ between runs that are the same.
    """
    return {
        "cpu": _cpu(root) or platform.processor() or None,
        "n_cpus": os.cpu_count(),
        "governor": _text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "kernel": platform.release(),
        "container": _container(root),
        "load_average": list(os.getloadavg()),
        **of_policy,
        **(_of_gpu(root, of_policy.get("pci")) if "gpu" in of_policy else {}),
    }


def _cpu(root: Path) -> str | None:
    found = re.search(r"^model name\s*:\s*(.+)$", _text(root / "proc/cpuinfo") or "", re.MULTILINE)
    return found[1].strip() if found else None


def _container(root: Path) -> str | None:
    """The kind of container, ``none`` outside of one as far as can be seen."""
    for file, name in ((".dockerenv", "docker"), ("run/.containerenv", "podman")):
        if (root / file).exists():
            return name
    found = _CONTAINER.search(_text(root / "proc/1/cgroup") or "")
    return found[0] if found else "none"


def _of_gpu(root: Path, pci: str | None) -> dict[str, str | None]:
    """The driver; what the link to a GPU has come to, and what it can be: an idle one is slower."""
    there = root / "sys/bus/pci/devices" / (pci or "unknown")
    # NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Fri Jan ...
    version = re.search(r"\s(\d+\.[\d.]+)\s", _text(root / "proc/driver/nvidia/version") or "")
    found = {"driver": version[1] if version else None}
    for which in ("current", "max"):
        for what in ("speed", "width"):
            found[f"pci_{which}_link_{what}"] = _text(there / f"{which}_link_{what}")
    return found


def _text(file: Path) -> str | None:
    try:
        return file.read_text(errors="replace").strip() or None
    except OSError:
        return None
