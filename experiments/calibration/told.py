"""A calibration on the terminal."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from experiments.calibration.against import ALIKE_RATIO, Difference
from experiments.calibration.outcome import Outcome
from experiments.calibration.preset import off_text
from experiments.calibration.system import OFF_RATIO, rate_text
from experiments.report import time_text

if TYPE_CHECKING:
    from rich.console import Console

_MOST_OFF = 8


def print_outcome(console: "Console", outcome: Outcome, facts: Mapping[str, Any]) -> None:
    """The parameters, where they are off, and what is noisy."""
    from rich.table import Table

    table = Table(title="Latency + bytes / bandwidth, a call alone", title_justify="left")
    table.add_column("way")
    for name in ("latency", "rounds +-", "bandwidth", "rounds +-", "channels", "useful at once"):
        table.add_column(name, justify="right")
    for way, fit in outcome.fits.items():
        table.add_row(
            way, time_text(fit.line.latency_ns), _spread(fit.latency_spread), rate_text(fit.line.bytes_per_s),
            _spread(fit.bandwidth_spread),
            *((str(fit.channels), str(fit.useful)) if fit.most_at_once > 1 else ("-", "-")),
        )  # fmt: skip
    console.print(table)
    if outcome.line:
        console.print(f"The line, with channels, is off by more than {OFF_RATIO:.0%}:", highlight=False)
        for off in outcome.line[:_MOST_OFF]:
            console.print(f"  {off_text(off)} than measured", highlight=False)
        if len(outcome.line) > _MOST_OFF:
            console.print(f"  and {len(outcome.line) - _MOST_OFF} more, which the preset names", highlight=False)
    if outcome.tables:
        still = f"; ranges that are still off: {len(outcome.off)}" if outcome.off else ""
        console.print(f"With a table of what calls took: {', '.join(outcome.tables)}{still}", highlight=False)
    for text in (*facts["warnings"], *facts["notes"], *outcome.noisy()):
        console.print(f"Note: {text}", highlight=False, markup=False)


def print_differences(console: "Console", rows: Sequence[Difference], machines: Sequence[str]) -> None:
    """A line for each parameter."""
    from rich.table import Table

    for text in machines:
        console.print(f"The machines differ: {text}", highlight=False, markup=False)
    if not rows:
        console.print("They have no way in common.", highlight=False)
        return
    table = Table(title="Parameters, and how far rounds of one lie apart", title_justify="left")
    for name in ("way", "parameter"):
        table.add_column(name)
    for name in ("A", "B", "difference", "rounds"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for row in rows:
        ratio = "-" if row.ratio is None else f"{row.ratio:+.1%}"
        table.add_row(
            row.way, _TITLES[row.parameter], _value(row.parameter, row.a), _value(row.parameter, row.b), ratio,
            _spread(row.noise_ratio), row.verdict,
        )  # fmt: skip
    console.print(table)
    alike = sum(row.verdict == "alike" for row in rows)
    noise = sum(row.verdict == "noise" for row in rows)
    console.print(
        f"{alike} of {len(rows)} within {ALIKE_RATIO:.0%}; {noise} further apart, but no further than rounds of one "
        f"calibration; {len(rows) - alike - noise} differ.",
        highlight=False,
    )


_TITLES = {"latency_ns": "latency", "bytes_per_s": "bandwidth", "channels": "channels", "p50_ns": "medians of calls"}


def _spread(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.0%}"


def _value(name: str, value: float) -> str:
    return (
        time_text(value) if name.endswith("_ns") else rate_text(value) if name == "bytes_per_s" else str(round(value))
    )
