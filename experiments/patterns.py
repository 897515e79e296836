"""The synthetic patterns that predictors are judged on, what was once expected of them, and what is possible."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.errors import InputError
from workloads.base import SourceSettings
from workloads.combine import InterleaveConfig
from workloads.mixed import MixedConfig
from workloads.periodic import PeriodicConfig
from workloads.pointer_chase import PointerChaseConfig
from workloads.random import RandomConfig, ZipfConfig
from workloads.registry import SOURCES
from workloads.strided import SequentialConfig, StridedConfig


@dataclass(frozen=True)
class Pattern:
    """A generator, and the top-1 accuracies that an earlier, unmeasured predictor was expected to reach on it."""

    name: str
    settings: dict[str, Any]
    earlier: str = "-"

    def source(self, accesses: int) -> SourceSettings:
        """The generator's config with that many accesses."""
        settings = {**self.settings, "accesses": accesses}
        if self.settings["kind"] == "interleave":
            parts = [{**part, "accesses": accesses // len(self.settings["parts"])} for part in self.settings["parts"]]
            settings = {**self.settings, "parts": parts}
        return SOURCES.validate(settings)


_CHASE = {"kind": "pointer_chase", "n_keys": 300, "spacing": 8, "first_key": 10**6}
_PERIODIC = {"kind": "periodic", "period": 50, "n_keys": 1000, "first_key": 2 * 10**6}
PATTERNS = (
    Pattern("sequential", {"kind": "sequential"}, "70-85 %"),
    Pattern("strided", {"kind": "strided", "stride": 7}),
    Pattern("periodic", {"kind": "periodic", "period": 50, "n_keys": 1000}, "60-80 %"),
    Pattern("mixed", {"kind": "mixed", "n_keys": 200, "next_ratio": 0.7}, "50-70 %"),
    Pattern("random", {"kind": "random", "n_keys": 200}, "10 %"),
    Pattern("pointer_chase", _CHASE),
    Pattern(
        "interleave",
        {"kind": "interleave", "parts": [{"kind": "sequential"}, {"kind": "strided", "stride": 7}, _PERIODIC, _CHASE]},
    ),
    Pattern("zipf", {"kind": "zipf", "n_keys": 1000, "exponent": 1.0}),
)


def pattern_of(name: str) -> Pattern:
    """The pattern of that name. Raises InputError if there is none."""
    for pattern in PATTERNS:
        if pattern.name == name:
            return pattern
    raise InputError(f"--patterns: unknown {name!r}; expected some of {', '.join(p.name for p in PATTERNS)}")


def ceiling(source: SourceSettings) -> float:
    """The top-1 accuracy that no predictor can exceed on average, for the generators that have a closed form.

    The reasoning is in docs/lstm.md.

    Raises:
        ValueError: the source has none.
    """
    match source:
        case SequentialConfig() | StridedConfig() | PeriodicConfig() | PointerChaseConfig():
            return 1.0
        case MixedConfig():
            return source.next_ratio + (1 - source.next_ratio) / source.n_keys
        case RandomConfig():
            return 1 / source.n_keys
        case ZipfConfig():
            return float(1 / (np.arange(1, source.n_keys + 1, dtype=np.float64) ** -source.exponent).sum())
        case InterleaveConfig():
            return float(np.mean([ceiling(part) for part in source.parts]))
    raise ValueError(f"no ceiling is known for {source.kind!r}")
