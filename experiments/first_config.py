"""The text of a config for a trace and a machine, small and commented, to start from."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.config import Experiment
from experiments.hardware import system_in_full
from experiments.loading import experiments_of
from experiments.overrides import parse_yaml
from experiments.shipped import CONFIGS, preset_names
from simulator.errors import InputError

if TYPE_CHECKING:
    from experiments.trace_input import TraceInput

_MOST_READ, _PIECE = 1_000_000, 200_000
"""So many accesses are looked at; of a longer trace the config takes a piece, until it is known to run."""
_LEAST_LEARNED = 2_000
_ROOM_FOR_WEIGHTS = 32 << 20
_OFTEN = 0.1
_COLUMN = 26
_UNITS = {"GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10}
_SYNTHETIC = {"kind": "phases", "rounds": 5, "phases": [
    {"kind": "sequential", "accesses": 5_000, "first_key": 1_000_000},
    {"kind": "pointer_chase", "accesses": 7_000, "n_keys": 300, "spacing": 8},
    {"kind": "zipf", "accesses": 8_000, "n_keys": 2_000, "first_key": 100_000},
]}  # fmt: skip


class _Seen:
    """What is in a workload, as far as it was read."""

    def __init__(self, workload: Any) -> None:
        from simulator.trace import part
        from workloads.statistics import statistics_of

        found = statistics_of(part(workload.batches(), 0, _MOST_READ + 1), _MOST_READ)
        summary = found.summary()
        self.n_accesses: int = summary["n_accesses"]
        self.n_keys: int = summary["n_keys"]
        self.n_bytes: int = summary["unique_bytes"]
        self.largest: int = summary["largest_bytes"]
        self.is_long = self.n_accesses > _MOST_READ
        often = [row["delta"] for row in found.deltas() if row["delta"] and row["ratio"] >= _OFTEN]
        self.step: int = often[0] if often and 0 < often[0] < 2**62 else 1


def first_config(out: Path, preset: str, given: "TraceInput | None", *, is_guess: bool = False) -> str:
    """The text of a config that lies at ``out`` and runs as it is.

    ``is_guess``: what the trace's columns are was guessed by their names, and the text says so.

    Raises:
        InputError: there is no such preset, or the trace has no access or a bad one.
    """
    machine = system_in_full({"preset": preset}, out.absolute().parent, "--preset")
    source = dict(_SYNTHETIC) if given is None else _source_of(given, out)
    seen = _Seen(_workload(source, out) if given is None else given.workload)
    if not seen.n_accesses:
        raise InputError(f"{given.name if given else 'the workload'}: has no access; expected at least one")
    lines = [
        f"# yaml-language-server: $schema={(CONFIGS / 'schema.json').resolve().as_uri()}",
        f"# {_about(seen, given)}. Run it with: tierfetch run {out.name}",
        "# What may be left out or said besides: docs/configs.md, and tierfetch policies KIND.",
        "workload:",
        *_workload_lines(source, seen, given, is_guess=is_guess),
        "system:",
        *_system_lines(preset, machine, seen),
        _noted("arms:", "what is compared; the others: tierfetch policies"),
        *_arm_lines(seen),
    ]
    text = "\n".join(lines) + "\n"
    # What cannot be read back is not handed out.
    _checked(text, out)
    return text


def _checked(text: str, out: Path) -> Experiment:
    return experiments_of(parse_yaml(text, str(out)), out)[""]


def _workload(source: dict[str, Any], out: Path) -> Any:
    return experiments_of({"workload": {"source": source}, "arms": ["none"]}, out)[""].workload.source.build(0)


def _source_of(given: "TraceInput", out: Path) -> dict[str, Any]:
    """The trace as a config says it, with what differs from the defaults."""
    said: dict[str, Any] = given.source.model_dump(mode="json", exclude_defaults=True)
    if "path" in said and Path(said["path"]).exists():
        # Beside the config it is looked for first.
        said["path"] = os.path.relpath(said["path"], out.absolute().parent)
    return said


def _about(seen: _Seen, given: "TraceInput | None") -> str:
    more = "more than " if seen.is_long else ""
    name = given.name if given else "A synthetic workload"
    n_accesses = min(seen.n_accesses, _MOST_READ)
    return f"{name}: {more}{n_accesses:,} accesses to {seen.n_keys:,} keys, {_size(seen.n_bytes)} in all"


def _workload_lines(source: dict[str, Any], seen: _Seen, given: "TraceInput | None", *, is_guess: bool) -> list[str]:
    lines, indent = ["  source:"], "    "
    if seen.is_long:
        lines.append(
            _noted("    kind: slice", "a piece of it: for the whole trace take this source's kind and accesses away")
        )
        lines += [f"    accesses: {_PIECE}", "    source:"]
        indent = "      "
    notes = {"kind": f"tierfetch policies {source['kind']} lists its settings"}
    if is_guess:
        notes["columns"] = "guessed from their names: look whether they are right"
    lines += [_noted(f"{indent}{key}: {_flow(value)}", notes.get(key, "")) for key, value in source.items()]
    if given is not None and given.has_times:
        return [
            *lines,
            _noted("  arrivals: {kind: open}", "at the trace's own times; also: {kind: closed, think: 100 us}"),
        ]
    think = "between the end of a request and the next one's start"
    return [*lines, _noted("  arrivals: {kind: closed, think: 100 us}", think)]


def _system_lines(preset: str, machine: dict[str, Any], seen: _Seen) -> list[str]:
    first, *below = machine["tiers"]
    others = ", ".join(name for name in preset_names() if name != preset)
    capacity = f"{{{first['name']}: {{capacity: {_size(_capacity(seen))}}}}}"
    lines = [
        _noted(f"  preset: {_flow(preset)}", f"also: {others}, or a file of your own"),
        _noted(f"  tiers: {capacity}", f"a tenth of the data; of {first['capacity']} say what your cache may have"),
    ]
    if below:
        note = "it holds all data; without this line it is a cache, too, above the preset's origin"
        lines.append(_noted(f"  origin: {below[0]['name']}", note))
    return lines


def _noted(text: str, note: str) -> str:
    return f"{text.ljust(_COLUMN)} # {note}" if note else text


def _capacity(seen: _Seen) -> int:
    """A tenth of the data, and at least some blocks, in whole units."""
    wanted = max(seen.n_bytes // 10, 8 * seen.largest)
    unit = next((unit for unit in _UNITS.values() if wanted >= 8 * unit), 1)
    return -(-wanted // unit) * unit


def _arm_lines(seen: _Seen) -> list[str]:
    step = f", stride={seen.step}" if seen.step != 1 else ""
    lines = [
        _noted("  - none", "fetches on demand alone: the baseline"),
        _noted(f"  - next_n(n=4{step})", "the next blocks" + (", at the most frequent step" if step else "")),
        _noted("  - markov", "what followed a block before"),
    ]
    lstm = "lstm(in_gpu_memory=false)" if _capacity(seen) < _ROOM_FOR_WEIGHTS else "lstm"
    if seen.n_accesses < _LEAST_LEARNED:
        lines.append(
            _noted(f"  # - {lstm}", "learns from the first half: of so short a trace there is little to learn")
        )
    else:
        lines.append(_noted(f"  - {lstm}", "learns from the first half; its thinking is measured and charged"))
    return lines


def _flow(value: Any) -> str:
    """A value on one line of YAML."""
    import yaml

    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, sort_keys=False, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def _size(n_bytes: int) -> str:
    """With the largest unit that it is a whole number of, or that leaves two digits."""
    for name, unit in _UNITS.items():
        if n_bytes % unit == 0 and n_bytes:
            return f"{n_bytes // unit} {name}"
        if n_bytes >= 100 * unit:
            return f"{round(n_bytes / unit)} {name}"
    return f"{n_bytes} B"
