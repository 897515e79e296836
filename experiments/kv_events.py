"""``tierfetch trace kv-events``: a tier's blocks beside those that an engine says it holds."""

from pathlib import Path
from typing import Annotated

import typer

from experiments.exits import exit_codes
from experiments.reading_options import ReadingOptions, TracePath, reads_a_trace
from experiments.trace_input import trace_input

_MOMENTS = 12
_NS_PER_S = 10**9


@reads_a_trace
def kv_events(
    events: Annotated[Path, typer.Argument(help="KV events of vLLM (MessagePack or JSON lines) or Dynamo (recorder).")],
    trace: TracePath,
    reading: ReadingOptions,
    capacity: Annotated[
        int, typer.Option(min=1, max=2**40, metavar="BLOCKS", help="Blocks that the engine's cache holds.")
    ],
    eviction: Annotated[str, typer.Option(help="Who goes from the tier here, as in `tierfetch misses`.")] = "leaf_lru",
    offset: Annotated[
        str | None,
        typer.Option(
            metavar="SECONDS",
            help="The events' time at time 0 of the trace.",
            show_default="so that the first event comes with the first request",
        ),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Whose events count: a rank of vLLM's, a worker, or worker/rank of Dynamo's.")
    ] = None,
) -> None:
    """Hold the blocks of a simulated tier against those that an engine stored and removed, from request to request.

    The requests of TRACE are replayed block by block. Before each that comes later than the last one all events until
    then are applied, and the two sets are compared. Exit codes: 0 done (also if they differ), 2 bad input,
    4 code of yours failed, 130 interrupted, 1 a bug.
    """
    with exit_codes("nothing was to be written"):
        from decimal import Decimal, InvalidOperation

        from rich.table import Table

        from experiments.counting import evictions_of
        from experiments.progress import make_console
        from experiments.resident_sets import compare, lines_of
        from simulator.errors import InputError
        from workloads.readers.kv_events import KvEvents

        said = KvEvents(events)
        given = trace_input(trace, reading)
        if not given.has_times:
            raise InputError(f"{given.name}: has no times; expected requests with the times at which they came")
        chosen = evictions_of(eviction)
        if len(chosen) != 1:
            raise InputError(f"--eviction {eviction}: expected one")
        if chosen[0].is_plain:
            raise InputError(f"--eviction {eviction}: is in plain Python; expected one that is compiled")
        try:
            offset_ns = None if offset is None else int(Decimal(offset) * _NS_PER_S)
        except (InvalidOperation, ValueError, OverflowError):
            # The last two: nan and inf.
            raise InputError(f"--offset {offset}: expected seconds, such as 1764246000.25") from None
        found = compare(said, given.workload, chosen[0], capacity, source=source, offset_ns=offset_ns)
        rows, remarks = lines_of(found, _MOMENTS)
        table = Table("requests", "seconds", "here", "there", "both", "both / all", box=None)
        for column in table.columns:
            column.justify = "right"
        for n, seconds, here, there, both, share in rows:
            table.add_row(f"{n:,}", f"{seconds:.3f}", f"{here:,}", f"{there:,}", f"{both:,}", f"{share:.4f}")
        console = make_console()
        console.print(table)
        if said.skipped:
            left_out = ", ".join(f"{n:,} {why}" for why, n in said.skipped.items())
            remarks.append(f"Events that were left out: {left_out}.")
        for line in remarks:
            console.print(line, highlight=False, markup=False)
        given.finish(lambda text: console.print(text, highlight=False, markup=False))
