"""The preset as text: a system with words beside its figures, and under ``measured`` what they are from."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.calibration.system import Off
from experiments.hardware import MEASURED
from experiments.report import bytes_text

_WIDTH = 110


def text_of(
    system: Mapping[str, Any], notes: Mapping[str, str], head: Sequence[str], measured: Mapping[str, Any]
) -> str:
    """``notes`` are by path, such as ``links.0.call``, and stand beside the figure."""
    lines = [f"# {line}" for line in head]
    for part in ("tiers", "links"):
        lines.append(f"{part}:")
        for i, one in enumerate(system[part]):
            lines += _item(one, f"{part}.{i}", notes)
    lines.append("origin:")
    lines += [_line(f"  {name}: {value}", notes.get(f"origin.{name}")) for name, value in system["origin"].items()]
    lines.append("# What the figures are from; no part of the system, and not read with it.")
    lines.append(f"{MEASURED}:")
    for name, value in measured.items():
        lines += _told(name, value)
    return "\n".join(lines) + "\n"


def _item(one: Mapping[str, Any], path: str, notes: Mapping[str, str]) -> list[str]:
    lines = []
    for i, (name, value) in enumerate(one.items()):
        start = "  - " if i == 0 else "    "
        if name == "table":
            lines.append(f"{start}table:")
            lines += _table(value)
        else:
            lines.append(_line(f"{start}{name}: {value}", notes.get(f"{path}.{name}")))
    return lines


def _table(table: Mapping[str, Any]) -> list[str]:
    lines = [f"      sizes: [{', '.join(table['sizes'])}]", f"      at_once: [{', '.join(map(str, table['at_once']))}]"]
    for name in ("read", "write"):
        if name in table:
            lines.append(f"      {name}:")
            lines += [f"        - [{', '.join(row)}]" for row in table[name]]
    return lines


def _line(text: str, note: str | None) -> str:
    return f"{text:<32} # {note}" if note else text


def _told(name: str, value: Any) -> list[str]:
    """Rows a line each, as JSON, which is YAML."""
    if isinstance(value, list) and value and isinstance(value[0], list):
        return [f"  {name}:", *(f"    - {json.dumps(row)}" for row in value)]
    if isinstance(value, Mapping) and value and len(json.dumps(value)) > _WIDTH:
        return [f"  {name}:", *(f"    {key}: {json.dumps(one)}" for key, one in value.items())]
    return [f"  {name}: {json.dumps(value)}"]


def off_text(off: Off) -> str:
    """Where a preset is off, in words."""
    sizes = bytes_text(off.least_bytes)
    if off.most_bytes != off.least_bytes:
        sizes += f" to {bytes_text(off.most_bytes)}"
    load = f" with {off.at_once} at once" if off.at_once > 1 else ""
    return f"{off.way}, {sizes}{load}: up to {abs(off.error_ratio):.0%} {'more' if off.error_ratio > 0 else 'less'}"


def spread_text(spread: float | None) -> str:
    """How far rounds differ."""
    return "" if spread is None else f"rounds differ by {spread:.0%}"
