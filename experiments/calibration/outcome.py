"""What a calibration found: from durations to the preset, without a clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal

from experiments.calibration.fit import Fit, Loads, Statistic, all_of, differ_ratio, fit_of, typical, typicals_of
from experiments.calibration.levels import Level
from experiments.calibration.preset import off_text, spread_text, text_of
from experiments.calibration.rounds import Measured
from experiments.calibration.system import (
    OFF_RATIO,
    Off,
    Said,
    ns_text,
    off_of,
    raw_system,
    said_of,
    with_spreads,
    with_table,
)
from experiments.calibration.ways import READ, SERVICE, WRITE, link_names
from simulator.config import System
from simulator.errors import InputError

Table = Literal["auto", "always", "never"]
NOISY_RATIO = 0.15
"""Parameters whose rounds lie further apart are told of."""
CELLS = (
    "way",
    "bytes",
    "at_once",
    "calls",
    "p50_ns",
    "p90_ns",
    "p99_ns",
    "mean_ns",
    "rounds_differ_ratio",
    "preset_ns",
)
FITS = (
    "way", "latency_ns", "bytes_per_s", "channels", "useful_at_once", "latency_rounds_differ_ratio",
    "bandwidth_rounds_differ_ratio",
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """``line`` says where latency + bytes / bandwidth, with channels, is off; ``off`` where the preset still is."""

    levels: Sequence[Level]
    measured: Measured
    statistic: Statistic
    system: Mapping[str, Any]
    fits: Mapping[str, Fit]
    said: Sequence[Said]
    line: Sequence[Off]
    off: Sequence[Off]
    tables: Sequence[str] = field(default_factory=list)
    """Links that have one."""

    def noisy(self) -> list[str]:
        """Parameters whose rounds lie far apart, in words."""
        found = []
        for way, fit in self.fits.items():
            for what, spread in (("latency", fit.latency_spread), ("bandwidth", fit.bandwidth_spread)):
                if spread is not None and spread > NOISY_RATIO:
                    found.append(f"{way}: {what}: {spread_text(spread)}")
        return found


def loads_of(measured: Measured) -> dict[str, dict[tuple[int, int], list[list[int]]]]:
    """By way, then by (bytes, calls at once)."""
    found: dict[str, dict[tuple[int, int], list[list[int]]]] = {}
    for cell, rounds in measured.items():
        found.setdefault(cell.way, {})[cell.n_bytes, cell.at_once] = rounds
    return found


def outcome_of(
    levels: Sequence[Level], capacities: Sequence[int], measured: Measured, statistic: Statistic = "median",
    table: Table = "auto", *, spreads: bool = False,
) -> Outcome:  # fmt: skip
    """Fits, the system, and how far its durations are from what was measured; ``spreads``: with how far calls differ.

    Raises:
        InputError: what was found is no system, such as a latency of hours.
    """
    of_ways: Mapping[str, Loads] = loads_of(measured)
    fits = {way: fit_of(loads, statistic) for way, loads in of_ways.items()}
    typicals = {way: typicals_of(loads, statistic) for way, loads in of_ways.items()}
    raw = raw_system(levels, capacities, fits)
    by_line = said_of(_checked(raw), levels, typicals)
    tables = []
    for i, name in enumerate(link_names(levels)):
        ways = (f"{name} {READ}", f"{name} {WRITE}")
        is_off = any(one.way in ways and abs(one.error_ratio) > OFF_RATIO for one in by_line)
        if table == "always" or (table == "auto" and is_off):
            useful = max(fits[way].useful for way in ways if way in fits)
            raw = with_table(raw, i, typicals[ways[0]], typicals.get(ways[1]), useful)
            tables.append(name)
    if spreads:
        raw = with_spreads(raw, levels, of_ways)
    said = said_of(_checked(raw), levels, typicals)
    return Outcome(levels, measured, statistic, raw, fits, said, off_of(by_line), off_of(said), tables)


def _checked(raw: Mapping[str, Any]) -> System:
    from pydantic import ValidationError

    try:
        return System.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"what was measured is no system: {where}: {first['msg']}") from None


def cell_rows(outcome: Outcome) -> list[list[Any]]:
    """A row for each kind of calls, as ``CELLS`` names its columns."""
    told = {(one.way, one.n_bytes, one.at_once): one.preset_ns for one in outcome.said}
    rows = []
    for cell, rounds in outcome.measured.items():
        every = sorted(all_of(rounds))
        of_rounds = [typical(one, outcome.statistic) for one in rounds]
        spread = differ_ratio(of_rounds, median(of_rounds))
        quantiles = [every[min(int(q * len(every)), len(every) - 1)] for q in (0.9, 0.99)]
        preset = told.get((cell.way, cell.n_bytes, cell.at_once))
        rows.append([
            *cell, len(every), round(median(every)), *quantiles, round(typical(every, "mean")),
            spread and round(spread, 3), preset and round(preset),
        ])  # fmt: skip
    return rows


def fit_rows(outcome: Outcome) -> list[list[Any]]:
    """A row for each way, as ``FITS`` names its columns."""
    return [
        [
            way, round(fit.line.latency_ns), round(fit.line.bytes_per_s),
            *((fit.channels, fit.useful) if fit.most_at_once > 1 else (None, None)),
            *(spread and round(spread, 3) for spread in (fit.latency_spread, fit.bandwidth_spread)),
        ]
        for way, fit in outcome.fits.items()
    ]  # fmt: skip


def preset_text(outcome: Outcome, head: Sequence[str], facts: Mapping[str, Any]) -> str:
    """The preset; ``head`` stands above it, ``facts`` under ``measured``, before the figures."""
    told = {
        **facts,
        "durations": outcome.statistic,
        "tables": list(outcome.tables),
        "noise": outcome.noisy(),
        "line_is_off": [off_text(one) for one in outcome.line],
        "preset_is_off": [off_text(one) for one in outcome.off],
        "fit_columns": list(FITS),
        "fits": fit_rows(outcome),
        "call_columns": list(CELLS),
        "calls": cell_rows(outcome),
    }
    return text_of(outcome.system, _notes(outcome), [*head, *_about(outcome)], told)


def _about(outcome: Outcome) -> list[str]:
    """Where not to believe it, above it."""
    lines = []
    if outcome.line:
        lines.append(f"Latency + bytes / bandwidth, with channels, is off by more than {OFF_RATIO:.0%} in places:")
        lines += [f"  {off_text(one)} than measured" for one in outcome.line]
    if outcome.tables:
        lines.append(f"So what calls took stands in the table of {' and '.join(outcome.tables)} (rule R46).")
        lines += [f"  still off: {off_text(one)} than measured" for one in outcome.off]
    return lines


def _notes(outcome: Outcome) -> dict[str, str]:
    """Beside the figures: how far rounds lie apart, and what a figure stands for."""
    names, notes = link_names(outcome.levels), {"tiers.0.capacity": "this machine's: set what your cache may have"}
    service = outcome.fits.get(f"{outcome.levels[0].name} {SERVICE}")
    if service is not None:
        notes["tiers.0.latency"] = spread_text(service.latency_spread)
        notes["tiers.0.read_bandwidth"] = spread_text(service.bandwidth_spread)
    for i, name in enumerate(names):
        read, write = outcome.fits[f"{name} {READ}"], outcome.fits.get(f"{name} {WRITE}")
        last = "origin.latency" if i == len(names) - 1 else f"tiers.{i + 1}.latency"
        notes[last] = (
            f"a read took {ns_text(read.line.latency_ns)} beside its bytes; {spread_text(read.latency_spread)}"
        )
        notes[f"links.{i}.call"] = name
        notes[f"links.{i}.read_bandwidth"] = spread_text(read.bandwidth_spread)
        notes[f"links.{i}.write_bandwidth"] = (
            spread_text(write.bandwidth_spread) if write else "not measured: as fast as reading"
        )
        seen = sorted(set(read.channels_by_round))
        notes[f"links.{i}.channels"] = (
            f"nearly the most is moved with so many; as a line has it, {read.channels}"
            if name in outcome.tables
            else f"more at once do not help; by round {', '.join(map(str, seen))}"
        )
    return {path: note.removesuffix("; ") for path, note in notes.items()}
