"""A timeline from a run's tables to its file, and what is said of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from experiments.report import bytes_text, time_text
from experiments.timelines.counters import counters_of
from experiments.timelines.drawing import Drawing
from experiments.timelines.flowing import add_flows
from experiments.timelines.rows import ASKS_FOR, RunRows
from experiments.timelines.span import Span, end_of
from experiments.timelines.tracks import Tracks
from experiments.timelines.writing import write

_SHOWS = {
    "prefetches": "prefetches",
    "inferences": "questions and the inference server",
    "transfers": "links",
}
"""What is left out where a table is not kept."""


class Timeline(NamedTuple):
    """What was written."""

    n_events: int
    n_accesses: int
    n_of: int
    size_bytes: int
    span: Span
    end_ns: int
    missing: list[str]

    def lines(self, path: Path) -> Iterator[str]:
        """What is to be said of it."""
        yield (
            f"{path}: {self.n_events:,} events, {bytes_text(self.size_bytes)}; {self.n_accesses:,} of "
            f"{self.n_of:,} accesses, {exactly(self.span.from_ns)} to {exactly(min(self.span.to_ns, self.end_ns))} of "
            f"{time_text(self.end_ns)}"
        )
        for table in self.missing:
            yield f"without {_SHOWS[table]}: the run keeps no {table}; run it again with {ASKS_FOR[table]}"
        if self.n_accesses < self.n_of:
            yield "for more: --events N, or --from TIME --to TIME; for one: --access N or --prefetch N"
        yield "open it at https://ui.perfetto.dev: the file stays on this machine"


def exactly(ns: int) -> str:
    """A time, as the options take it, to the nanosecond."""
    for unit, size in (("s", 10**9), ("ms", 10**6), ("us", 10**3)):
        if ns >= size:
            return f"{ns // size}.{ns % size:0{len(str(size)) - 1}d}".rstrip("0").rstrip(".") + f" {unit}"
    return f"{ns} ns"


def write_timeline(rows: RunRows, span: Span, path: Path) -> Timeline:
    """Write what of a run lies in a span. Raises InputError if a table is damaged."""
    arm, seed, repeat = rows.key
    tracks = Tracks(f"{arm}, seed {seed}" + (f", repeat {repeat}" if repeat else ""))
    drawing = Drawing(rows, span, tracks)
    add_flows(drawing)
    counters = counters_of(drawing)
    with path.open("wb") as file:
        n_events = write(file, tracks, list(drawing.slices.values()), counters)
    return Timeline(
        n_events, len(drawing.slices["accesses"]), rows.count("accesses"), path.stat().st_size, span, end_of(rows),
        [table for table in _SHOWS if not rows.has(table)],
    )  # fmt: skip
