"""What there is to choose from: each kind with a line that says what it is, as ``tierfetch policies`` lists them."""

from collections.abc import Mapping
from typing import Any


def policies() -> dict[str, str]:
    """Every prefetch policy, for ``policy`` of an arm and of ``simulate``."""
    from policies.registry import POLICIES

    return _lines(POLICIES)


def evictions() -> dict[str, str]:
    """Every eviction policy, for ``eviction`` of a tier and of ``misses``."""
    from simulator.residency.registry import EVICTIONS

    return _lines(EVICTIONS)


def admissions() -> dict[str, str]:
    """Every admission, for ``admission`` of a tier."""
    from simulator.residency.registry import ADMISSIONS

    return _lines(ADMISSIONS)


def workloads() -> dict[str, str]:
    """Every workload that reads no file, for ``workload.source`` and where a trace is expected."""
    from workloads.formats import formats as of_files
    from workloads.registry import SOURCES

    files = of_files()
    return _lines({kind: SOURCES[kind] for kind in SOURCES if kind not in files})


def formats() -> dict[str, str]:
    """Every trace format, for ``Trace.read``."""
    from workloads.formats import formats as of_files

    return _lines(of_files())


def _lines(known: Mapping[str, Any]) -> dict[str, str]:
    from experiments.policies import one_line

    return {kind: one_line(settings) for kind, settings in known.items()}
