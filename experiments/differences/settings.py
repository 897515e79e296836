"""Keys that configs set differently, as results keep them; of two results, or of many variants."""

import json
import re
from collections.abc import Sequence
from typing import Any

from simulator.units import parse_bytes, parse_bytes_per_s, parse_ns

TOLD = ("name", "seeds", "repeats", "baseline", "output", "engine")
"""Keys that say what is made and kept of an experiment, and change nothing that comes out of a run."""
_QUANTITY = re.compile(r"(\d+) (B|ns|B/s)")


class Absent:
    """Where a config has no such key."""

    def __repr__(self) -> str:
        return "-"


ABSENT = Absent()


def judged(config: dict[str, Any]) -> dict[str, Any]:
    """A config without what changes nothing that comes out."""
    return {key: value for key, value in config.items() if key not in TOLD}


def differing(values: Sequence[Any], path: str = "") -> dict[str, list[Any]]:
    """Keys by their paths, as ``--set`` has them, with what each config says there, where these are not all the same.

    Settings of several kinds are one value each: what one kind has, another one does not lack.
    """
    first = values[0]
    if all(_same(value, first) for value in values):
        return {}
    parts: dict[str, list[Any]] | None = None
    if all(isinstance(value, dict) for value in values):
        if len({value.get("kind") for value in values}) == 1:
            parts = {str(key): [value.get(key, ABSENT) for value in values] for key in _union(values)}
    elif all(isinstance(value, list) for value in values):
        if all(_are_named(value) for value in values):
            named = [{str(item["name"]): item for item in value} for value in values]
            parts = {name: [items.get(name, ABSENT) for items in named] for name in _union(named)}
        elif len({len(value) for value in values}) == 1 and not _are_plain(first):
            parts = {str(i): list(items) for i, items in enumerate(zip(*values, strict=True))}
    found: dict[str, list[Any]] = {}
    for name, items in (parts or {}).items():
        found |= differing(items, f"{path}.{name}" if path else name)
    # Not the parts: then their order, or what they are parts of.
    return found or {path: list(values)}


def _same(a: Any, b: Any) -> bool:
    # 1 is no 1.0 in JSON, and True no 1.
    return a is b or (not isinstance(a, Absent) and not isinstance(b, Absent) and _json(a) == _json(b))


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _union(values: Sequence[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for value in values for key in value))


def _are_plain(items: list[Any]) -> bool:
    """Whether these are one value together, such as seeds."""
    return not any(isinstance(item, dict | list) for item in items)


def _are_named(items: list[Any]) -> bool:
    return bool(items) and all(isinstance(item, dict) and "name" in item for item in items)


def value_text(value: Any) -> str:
    """A value of a config as somebody would write it."""
    if isinstance(value, Absent):
        return "-"
    if isinstance(value, dict):
        said = [f"{key}={value_text(one)}" for key, one in value.items() if key != "kind"]
        return f"{value['kind']}({', '.join(said)})" if "kind" in value else f"{{{', '.join(said)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(value_text, value))}]"
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    return _quantity_text(value) if isinstance(value, str) else str(value)


def _quantity_text(text: str) -> str:
    """A quantity in a larger unit, where that says the same."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return text
    # It reads tables, for which whoever opens results does not wait.
    from experiments.report import bytes_text, time_text

    n, unit = int(match[1]), match[2]
    if unit == "ns":
        shorter, back = time_text(n), parse_ns
    elif unit == "B":
        shorter, back = bytes_text(n), parse_bytes
    else:
        size = next((size for size in ("TB/s", "GB/s", "MB/s") if n >= parse_bytes_per_s(f"1 {size}")), "B/s")
        shorter, back = f"{n / parse_bytes_per_s(f'1 {size}'):.6g} {size}", parse_bytes_per_s
    try:
        return shorter if back(shorter) == n else text
    except ValueError:
        # Such as 1,000 KiB, or 1e+03 s.
        return text


def quantity_unit(value: Any) -> str:
    """What a quantity is of, in its smallest unit: B, ns or B/s; "" if it is none."""
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    return match[2] if match else ""


def number_of(value: Any) -> Any:
    """A quantity as a number of bytes, ns or bytes/s; of settings one line; all else as it is."""
    if isinstance(value, dict | list):
        return value_text(value)
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    return int(match[1]) if match else None if isinstance(value, Absent) else value


def texts_of(values: Sequence[Any]) -> list[str]:
    """Values as text, each as it is where two of them would read the same."""
    short = [value_text(value) for value in values]
    distinct = {_json(value) if not isinstance(value, Absent) else "-" for value in values}
    return short if len(set(short)) == len(distinct) else [_raw(value) for value in values]


def _raw(value: Any) -> str:
    return value if isinstance(value, str) else "-" if isinstance(value, Absent) else _json(value)
