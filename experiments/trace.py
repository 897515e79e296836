"""``tierfetch trace convert|info|head|formats|kv-events``: what a trace is, and how to read it."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.exits import exit_codes
from experiments.kv_events import kv_events
from experiments.reading_options import ReadingOptions, TracePath, reads_a_trace
from experiments.trace_input import TraceInput, share_of, trace_input

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)

Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no report.")]
_LINE_EVERY_S = 30.0


@app.callback()
def _main() -> None:
    """Convert any trace to compact Parquet, say what is in it, show its first accesses, or hold events against it."""


@app.command()
@reads_a_trace
def convert(
    trace: TracePath,
    out: Annotated[Path, typer.Argument(help="The file to write, such as trace.parquet.")],
    reading: ReadingOptions,
    force: Annotated[bool, typer.Option("--force", help="Replace OUT if it is there.")] = False,
    quiet: Quiet = False,
) -> None:
    """Write a trace as compact Parquet: smaller, and faster to read; in a config, kind: compact.

    Exit codes: 0 done, 2 bad input, 4 code of yours failed, 130 interrupted, 1 a bug.
    """
    with exit_codes("nothing was written"):
        from experiments.aside import written_aside
        from experiments.progress import make_console
        from experiments.trace_report import counted
        from simulator.errors import InputError
        from workloads.readers.compact_writer import CompactWriter
        from workloads.readers.files import sha256

        console = make_console()
        given = trace_input(trace, reading)
        if out.suffix != ".parquet":
            raise InputError(f"{out}: expected a name that ends in .parquet")
        if any(out.resolve() == path.resolve() for path in given.files):
            raise InputError(f"{out}: is the trace itself; expected another name")
        if given.key_names is not None and given.key_names.resolve() == out.resolve():
            raise InputError(f"--key-names {given.key_names}: is the file to write; expected another name")
        if out.exists() and not force:
            raise InputError(f"{out}: is there already; expected another name, or --force")
        if not out.parent.is_dir():
            raise InputError(f"{out}: no such folder; expected one that is there")
        hashed = sha256(given.files[0]) if len(given.files) == 1 else None
        with written_aside(out) as aside:
            writer = CompactWriter(aside)
            try:
                for batch in _shown(given, console, quiet=quiet):
                    writer.write(batch)
                ids = given.workload.stream_ids
                about = writer.finish(
                    given.name,
                    hashed,
                    has_times=given.has_times,
                    stream_ids=ids,
                    reuse=given.reuse,
                    hashed=given.hashed,
                )
            finally:
                writer.close()
        if not quiet:
            size, before = out.stat().st_size, sum(path.stat().st_size for path in given.files)
            console.print(
                f"{given.name}: {about.n_accesses:,} accesses, {counted(about.n_streams, 'stream')}; {size:,} bytes, "
                f"{size / about.n_accesses:.1f} an access" + (f" (from {before:,})" if before else ""),
                highlight=False, markup=False,
            )  # fmt: skip
            console.print(f"Written: {out}. In a config: source: {{kind: compact, path: {out}}}", highlight=False)
        given.finish(lambda text: None if quiet else console.print(text, highlight=False, markup=False))


@app.command()
@reads_a_trace
def info(
    trace: TracePath,
    reading: ReadingOptions,
    window: Annotated[
        int | None,
        typer.Option(min=1, help="Accesses of a window of the working set.", show_default="1 % of the trace"),
    ] = None,
    sample: Annotated[str, typer.Option(metavar="RATE", help="Tell keys apart in a spatial sample (SHARDS).")] = "1",
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also write summary, working_set, reuse and deltas there, as Parquet."),
    ] = None,
    plot: Annotated[
        bool,
        typer.Option(
            "--plot", help="Also draw working set, reuse distances and arrivals: trace.png and trace.svg in --out."
        ),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Rows and what was made of them, unique keys, working set, reuse distances, deltas, reads and writes, the clock.

    Memory grows with the distinct keys, some 100 bytes each: of very many, take a sample.
    Exit codes: 0 done, 2 bad input, 4 code of yours failed, 130 interrupted, 1 a bug.
    """
    with exit_codes("nothing was written"):
        from experiments.progress import make_console
        from experiments.single import versions
        from experiments.tables import make_folder, write_rows
        from experiments.trace_report import print_statistics
        from workloads.sampling import parts_of
        from workloads.statistics import statistics_of

        console = make_console()
        parts = parts_of(share_of(sample, "--sample", "a rate"))
        given = trace_input(trace, reading)
        if plot and out is None:
            out = Path("results") / f"trace-{given.name.replace('.', '-')}"
        if out is not None:
            make_folder(out)
        window = window or -(-given.workload.length() // 100)
        found = statistics_of(_shown(given, console, quiet=quiet), window, parts)
        tables = {
            "summary": [{"trace": given.name, **found.summary()}],
            "working_set": found.working_set(),
            "reuse": found.reuse(),
            "deltas": found.deltas(),
        }
        if not quiet:
            print_statistics(console, tables, given.reading, has_times=given.has_times)
        given.finish(lambda text: None if quiet else console.print(text, highlight=False, markup=False))
        if out is not None:
            for name, rows in tables.items():
                write_rows(out / f"{name}.parquet", rows, {"versions": versions(), "trace": given.name})
            if not quiet:
                console.print(f"Tables: {', '.join(f'{name}.parquet' for name in tables)} in {out}", highlight=False)
            if plot:
                from experiments.curves import draw_trace

                windows, reuse = tables["working_set"], tables["reuse"]
                pictures = draw_trace(given.name, windows, reuse, out, has_times=given.has_times)
                if not quiet:
                    console.print(f"Pictures: {', '.join(map(str, pictures))}", highlight=False, markup=False)


@app.command()
@reads_a_trace
def head(
    trace: TracePath,
    reading: ReadingOptions,
    first: Annotated[int, typer.Option(min=0, help="The first access to show.")] = 0,
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, help="How many to show.")] = 10,
) -> None:
    """Show accesses as the simulator would see them, with the trace's own streams and requests.

    Exit codes: 0 done, 2 bad input, 4 code of yours failed, 130 interrupted, 1 a bug.
    """
    with exit_codes("nothing was to be written"):
        import numpy as np
        from rich.markup import escape
        from rich.table import Table

        from experiments.progress import make_console
        from simulator.errors import InputError
        from simulator.trace import COLUMNS, WRITE, concatenate, part

        given = trace_input(trace, reading)
        batch = concatenate(list(part(given.workload.batches(), first, first + rows)))
        if not len(batch):
            raise InputError(f"{given.name}: has no access {first}; expected --first to be one that is there")
        shown: dict[str, Any] = {name: getattr(batch, name) for name in COLUMNS} | dict(batch.features)
        if (ids := given.workload.stream_ids) is not None:
            shown["stream"] = ids[batch.stream]
        shown["op"] = np.where(batch.op == WRITE, "write", "read")
        table = Table("access", *shown, title=escape(given.name), title_justify="left", box=None)
        for name, column in zip(("access", *shown), table.columns, strict=True):
            column.justify = "left" if name == "op" else "right"
        for i in range(len(batch)):
            table.add_row(str(first + i), *(str(column[i]) for column in shown.values()))
        console = make_console()
        console.print(table)
        given.finish(lambda text: console.print(text, highlight=False, markup=False))


@app.command()
def formats() -> None:
    """List the formats of traces that can be read, with an example and where each is described.

    Exit codes: 0 done, 1 a bug.
    """
    with exit_codes("nothing was to be written"):
        from experiments.formats_report import print_formats
        from experiments.progress import make_console

        print_formats(make_console())


app.command("kv-events")(kv_events)


def _shown(given: TraceInput, console: "Console", *, quiet: bool) -> Iterator[Any]:
    """The trace's batches, with how far it is: a bar on a terminal, a line now and then elsewhere.

    Raises InputError at the end if there was none.
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from simulator.errors import InputError

    total = given.known_length()
    started = last = time.monotonic()
    n = 0
    columns = (TextColumn(given.name, markup=False), BarColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=quiet or not console.is_terminal
    ) as progress:
        task = progress.add_task("", total=total, rate="")
        for batch in given.workload.batches():
            yield batch
            n += len(batch)
            now = time.monotonic()
            text = f"{n:,} accesses, {n / max(now - started, 1e-9) / 1e6:.1f} M/s"
            progress.update(task, completed=n, rate=text)
            if not quiet and not console.is_terminal and now - last >= _LINE_EVERY_S:
                last = now
                console.print(f"{text}{f' of {total:,}' if total else ''}", highlight=False)
    if n == 0:
        raise InputError(f"{given.name}: has no access; expected at least one")


if __name__ == "__main__":
    app()
