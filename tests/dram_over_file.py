"""A machine of DRAM over a file, as a preset, and experiments that are scaled to it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.hardware import system_in_full
from experiments.loading import load, only
from experiments.overrides import parse_yaml
from experiments.validation.asked import Asked, asked
from experiments.validation.scaled import Scaled, scaled

CONFIGS = Path(__file__).parents[1] / "configs"
MACHINE = """
tiers:
  - {name: dram, capacity: 25 GB, latency: 2 us, read_bandwidth: 10 GB/s, write_bandwidth: 10 GB/s}
links:
  - {call: 300 us, read_bandwidth: 1 GB/s, write_bandwidth: 1 GB/s, channels: 4}
origin: {kind: store, latency: 5 us}
"""


def machine(text: str = MACHINE) -> dict[str, Any]:
    """As a system."""
    found: dict[str, Any] = system_in_full(parse_yaml(text, "machine"), Path(), "machine")
    return found


def wanted(**more: Any) -> Asked:
    """As if nothing but that had been said."""
    said = {"accesses": None, "repeats": None, "block": None, "think": None, "arms": None, "store": None, **more}
    return asked(out=Path("nowhere"), **said)


def scaled_to(name: str, *, text: str = MACHINE, sets: Sequence[str] = (), **more: Any) -> Scaled:
    """A shipped config, on the machine."""
    path = CONFIGS / f"{name}.yaml"
    return scaled(path, only(load(path, sets=list(sets))), machine(text), wanted(**more))
