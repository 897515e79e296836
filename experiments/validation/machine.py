"""The machine that both sides are: a preset of ``tierfetch calibrate``, or one that is measured now."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from experiments.hardware import MEASURED, system_in_full
from experiments.loading import explain
from experiments.overrides import parse_yaml
from experiments.provenance import provenance
from simulator.config import System
from simulator.errors import InputError

_LEVELS = (["dram"], ["hbm", "dram"])
_MOST_CHANNELS = 256
"""As many calls at once as calibrate tries."""


class Machine(NamedTuple):
    """``system`` is as configs have it, in full; ``text`` is the preset's, ``folder`` on the disk that was measured."""

    system: dict[str, Any]
    text: str
    folder: Path | None
    said: str


def machine_of(preset: Path | None, store: Path | None, told: Callable[[str], None]) -> Machine:
    """The machine of a preset's file, or without one this one, with a file in ``store`` (else here) as its last level.

    Raises:
        InputError: it is no preset of this machine's levels, or cannot be measured.
    """
    if preset is not None:
        try:
            text = preset.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"--machine {preset}: cannot be read: {error}; expected a preset of calibrate") from None
        said = f"machine: {preset}"
    else:
        text, said = _measured(store or Path(), told), "machine: measured now"
    name = str(preset or "the machine")
    raw = parse_yaml(text, name)
    if not isinstance(raw, Mapping) or not isinstance(raw.get("tiers"), list):
        raise InputError(f"{name}: expected a preset as tierfetch calibrate writes it, with a list of tiers")
    if MEASURED not in raw:
        told(f"warning: {name}: tierfetch calibrate has not measured it; its figures may be another machine's")
    facts = _at(raw, MEASURED, "machine")
    if others := _elsewhere(facts):
        told(f"warning: {name}: was measured elsewhere: {others}; its figures are that machine's")
    path = _at(facts, "file", "path")
    found = system_in_full({key: value for key, value in raw.items() if key != MEASURED}, Path(), name)
    try:
        system = System.model_validate(found)
    except ValidationError as error:
        raise InputError(*explain(name, error)) from None
    names = [tier.name for tier in system.tiers]
    if names not in _LEVELS or system.origin.kind != "store":
        raise InputError(
            f"{name}: tiers: {', '.join(names)}, over an origin of kind {system.origin.kind}; expected dram, or hbm "
            "and dram, over a file (a store)"
        )
    for i, link in enumerate(system.links):
        if link.channels > _MOST_CHANNELS:
            raise InputError(
                f"{name}: links.{i}.channels: {link.channels}, each of which is a thread of the live cache; expected "
                f"{_MOST_CHANNELS} at most"
            )
    if names[0] == "hbm":
        _check_cuda(name)
    return Machine(found, text, _folder(Path(path)) if isinstance(path, str) else None, said)


def _at(raw: Any, *keys: str) -> Any:
    """What stands there, or None."""
    for key in keys:
        raw = raw.get(key) if isinstance(raw, Mapping) else None
    return raw


def _elsewhere(facts: Any) -> str:
    """Which facts of a machine are not this one's, in words; nothing if it is this one, or does not say."""
    here = provenance({})
    said = facts if isinstance(facts, Mapping) else {}
    return ", ".join(
        f"{name} {said[name]}, here {here[name]}"
        for name in ("cpu", "n_cpus", "kernel")
        if said.get(name) is not None and said[name] != here[name]
    )


def _check_cuda(name: str) -> None:
    """Raises InputError if there is no GPU here, before anything is measured."""
    from policies.models.device import pick_device

    try:
        pick_device("cuda")
    except InputError as error:
        raise InputError(f"{name}: tiers.0: hbm: {error}; expected a preset without hbm") from None


def _folder(path: Path) -> Path | None:
    folder = path if path.is_dir() else path.parent
    return folder if folder.is_dir() else None


def _measured(folder: Path, told: Callable[[str], None]) -> str:
    """A preset of this machine, by means: what a mean latency is to be held against."""
    from experiments.calibration.asked import asked
    from experiments.calibration.measuring import measure
    from experiments.calibration.outcome import preset_text

    found = asked(
        f"dram,file:{folder}", "4KiB,64KiB,1MiB", "1,2,4", None, None, None, None, device="cpu", is_quick=True,
        pageable=False, durations="mean", table="always",
    )  # fmt: skip
    outcome, head, facts = measure(found, told, with_predictor=False)
    return preset_text(outcome, head, facts)
