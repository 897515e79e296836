"""Two calibrations set against each other: by how much each parameter differs, and whether rounds differ as much."""

from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from experiments.hardware import MEASURED
from experiments.overrides import parse_yaml
from simulator.errors import InputError

ALIKE_RATIO = 0.15
_MOST_BYTES = 1 << 20


class Difference(NamedTuple):
    """``ratio``: B / A - 1, None where A is 0; ``noise_ratio``: how far the rounds of one lie apart, the larger."""

    way: str
    parameter: str
    a: float
    b: float
    ratio: float | None
    noise_ratio: float | None
    verdict: str


def calibration_at(path: Path) -> dict[str, Any]:
    """What a preset says of its measurements. Raises InputError where it is none of ``tierfetch calibrate``."""
    try:
        said = parse_yaml(path.read_text()[:_MOST_BYTES], str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--compare {path}: cannot be read: {error}; expected a preset of calibrate") from None
    found = said.get(MEASURED) if isinstance(said, dict) else None
    names = {"fits": "fit_columns", "calls": "call_columns"}
    if not isinstance(found, dict) or not all(_is_table(found, rows, columns) for rows, columns in names.items()):
        raise InputError(
            f"--compare {path}: has no figures under {MEASURED!r}; expected a preset of tierfetch calibrate"
        )
    return found


def _is_table(found: Mapping[str, Any], rows: str, columns: str) -> bool:
    heads, lines = found.get(columns), found.get(rows)
    return (
        isinstance(heads, list)
        and isinstance(lines, list)
        and all(isinstance(line, list) and len(line) == len(heads) for line in lines)
    )


def rows_of(found: Mapping[str, Any], rows: str, columns: str) -> list[dict[str, Any]]:
    """A table of a preset, by the names of its columns."""
    return [dict(zip(found[columns], row, strict=True)) for row in found[rows]]


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Difference]:
    """Parameter by parameter, of ways that both have; then what all calls of a way took, by the median over them."""
    fits = [{row["way"]: row for row in rows_of(one, "fits", "fit_columns")} for one in (a, b)]
    calls = [
        {(row["way"], row["bytes"], row["at_once"]): row for row in rows_of(one, "calls", "call_columns")}
        for one in (a, b)
    ]
    found = []
    for way in fits[0]:
        if way not in fits[1]:
            continue
        for name, what in (("latency_ns", "latency"), ("bytes_per_s", "bandwidth"), ("channels", "")):
            if None in (one[way][name] for one in fits):
                # Not measured with several at once.
                continue
            ours, theirs = (float(one[way][name]) for one in fits)
            spreads = [one[way].get(f"{what}_rounds_differ_ratio") for one in fits] if what else []
            found.append(_difference(way, name, ours, theirs, spreads))
        both = [cell for cell in calls[0] if cell[0] == way and cell in calls[1]]
        if both:
            ours, theirs = (float(median(one[cell]["p50_ns"] for cell in both)) for one in calls)
            ratio = float(median(calls[1][cell]["p50_ns"] / calls[0][cell]["p50_ns"] for cell in both)) - 1
            noise = max(float(median(one[cell]["rounds_differ_ratio"] or 0.0 for cell in both)) for one in calls)
            found.append(Difference(way, "p50_ns", ours, theirs, ratio, noise, _verdict(ratio, noise)))
    return found


def _difference(way: str, name: str, a: float, b: float, spreads: list[float | None]) -> Difference:
    ratio = b / a - 1 if a else (0.0 if b == a else None)
    known = [spread for spread in spreads if spread is not None]
    noise = max(known, default=None)
    return Difference(way, name, a, b, ratio, noise, _verdict(ratio, noise))


def _verdict(ratio: float | None, noise: float | None) -> str:
    if ratio is not None and abs(ratio) <= ALIKE_RATIO:
        return "alike"
    return "noise" if ratio is not None and noise is not None and abs(ratio) <= noise else "differs"


def machines_differ(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """Facts of the machines that are others, in words; and the pace of calls, if that is."""
    ours, theirs = a.get("machine", {}), b.get("machine", {})
    paces = [one.get("pace_ns", 0) for one in (a, b)]
    return [
        *([f"pace_ns: {paces[0]} and {paces[1]}"] if paces[0] != paces[1] else []),
        *(
            f"{name}: {ours.get(name)} and {theirs.get(name)}"
            for name in dict.fromkeys((*ours, *theirs))
            if name != "load_average" and ours.get(name) != theirs.get(name)
        ),
    ]
