"""``tierfetch misses TRACE``: misses of eviction policies by capacity, demand alone."""

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.exits import exit_codes
from experiments.jobs import Jobs, n_cores
from experiments.reading_options import ReadingOptions, TracePath, reads_a_trace
from experiments.trace_input import trace_input

if TYPE_CHECKING:
    from rich.console import Console


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
@reads_a_trace
def main(
    trace: TracePath,
    reading: ReadingOptions,
    eviction: Annotated[
        str,
        typer.Option(
            metavar="NAME,...|all",
            help="Eviction policies, such as 's3fifo(small_ratio=0.2)': see tierfetch policies.",
        ),
    ] = "lru,fifo,sieve,s3fifo,arc",
    capacity: Annotated[
        str | None, typer.Option(metavar="SIZE,...", help="Bytes such as '64 MiB'; with --unit-size, blocks.")
    ] = None,
    fraction: Annotated[
        str | None, typer.Option(metavar="RATIO,...", help="Capacities as shares of all bytes (blocks) of the trace.")
    ] = None,
    unit_size: Annotated[bool, typer.Option("--unit-size", help="Count blocks, not bytes.")] = False,
    sample: Annotated[
        str,
        typer.Option(
            metavar="RATE,...", help="Simulate spatial samples (SHARDS); with 1 among them, show their error."
        ),
    ] = "1",
    draws: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Samples of each rate, by as many hashes: their mean, and its interval."),
    ] = None,
    jobs: Jobs = 1,
    seed: Annotated[int, typer.Option(min=0, help="Of policies that draw at random.")] = 0,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for misses.parquet.", show_default="results/misses-TRACE")
    ] = None,
    beside: Annotated[
        str | None,
        typer.Option(metavar="libcachesim", help="Set libCacheSim's counts beside these, in beside.parquet."),
    ] = None,
    plot: Annotated[bool, typer.Option("--plot", help="Also draw the curves: misses.png and misses.svg.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no table.")] = False,
) -> None:
    """Replay a trace without prefetching through the engine and count misses by eviction policy and capacity.

    Without --capacity and --fraction: 0.001, 0.01, 0.05, 0.1 and 0.25 of the trace, where the largest block fits in;
    with --plot the curves have some more, up to half of it. Exit codes: 0 done, 2 bad input, 4 code of yours failed,
    130 interrupted, 1 a bug.
    """
    with exit_codes("nothing was written"):
        from experiments.compiling import Announced
        from experiments.counters import rows_of
        from experiments.counting import check_capacities, draws_of, evictions_of, rates_of, traces_of
        from experiments.progress import make_console
        from experiments.replayed import CURVE, FRACTIONS, capacities_of, mean_of
        from experiments.single import versions
        from experiments.tables import make_folder, write_rows
        from experiments.warm import compile_core
        from workloads.sampling import PARTS

        console = make_console()
        evictions = evictions_of(eviction)
        rates = rates_of(sample)
        n_draws = draws_of(draws, rates)
        n_jobs = jobs or n_cores()
        if beside is not None:
            from experiments.beside import check

            check(beside, rates)
        given = trace_input(trace, reading)
        with nullcontext() if quiet else console.status(f"reading {trace.name}"):
            traces = traces_of(
                given, rates, evictions, capacity,
                n_draws=n_draws, n_jobs=n_jobs, unit_size=unit_size, keeps=beside is not None,
            )  # fmt: skip
        given.finish(lambda text: None if quiet else console.print(text, highlight=False, markup=False))
        usual = CURVE if plot else FRACTIONS
        capacities = capacities_of(traces.largest, capacity, fraction, unit_size=unit_size, usual=usual)
        # What is between and beyond is for the picture: the table would not fit.
        shown = capacities
        if plot and capacity is None and fraction is None:
            shown = capacities_of(traces.largest, None, None, unit_size=unit_size)
        check_capacities(traces, capacities, unit_size=unit_size)
        folder = out or Path("results") / f"misses-{trace.name.replace('.', '-')}"
        make_folder(folder)
        whole = traces.largest[0]
        n_keys, n_bytes = (mean_of([getattr(one, what) for one in traces.largest]) for what in ("n_keys", "n_bytes"))
        if not quiet:
            about = "about " if whole.parts < PARTS else ""
            unit = "blocks" if unit_size else "bytes"
            console.print(
                f"{trace.name}: {whole.n_of_trace:,} accesses, {about}{n_keys:,} blocks, "
                f"{about}{n_bytes:,} {unit} in all",
                highlight=False, markup=False,
            )  # fmt: skip
        # Beforehand: the first row's rate would have the compiling in it.
        with Announced(lambda text: None if quiet else console.print(text, highlight=False)):
            compile_core(one for one in evictions if one.kind != "lru")
        rows: list[dict[str, Any]] = []
        n_rows = len(traces.by_rate) * len(evictions) * len(capacities)
        with nullcontext() if quiet else console.status("counting"):
            for row in rows_of(
                trace.name, traces, evictions, capacities, unit_size=unit_size, seed=seed, n_jobs=n_jobs
            ):
                rows.append(row)
                if not quiet:
                    of = f", sample of {row['sample_rate']:.3g}" if row["sample_rate"] < 1 else ""
                    console.print(
                        f"[{len(rows)}/{n_rows}] {row['eviction']}, {row['capacity']:,}{of}: {row['n_misses']:,} "
                        f"misses, {row['accesses_per_s']:,.0f} accesses/s",
                        highlight=False, markup=False,
                    )  # fmt: skip
        write_rows(folder / "misses.parquet", rows, {"versions": versions(), "seed": seed})
        if not quiet:
            _print(console, [row for row in rows if row["capacity"] in shown])
            console.print(f"Table: {folder / 'misses.parquet'}", highlight=False)
        if beside is not None:
            from experiments.beside import set_beside

            set_beside(rows, evictions, whole, folder, None if quiet else console)
        if plot:
            from experiments.miss_curves import draw_misses

            pictures = draw_misses(rows, folder, n_bytes, n_keys / whole.n_of_trace)
            if not quiet:
                console.print(f"Pictures: {', '.join(map(str, pictures))}", highlight=False)


def _print(console: "Console", rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    unit = rows[0]["capacity_unit"]
    capacities = list(dict.fromkeys(row["capacity"] for row in rows))
    for rate in dict.fromkeys(row["sample_rate"] for row in rows):
        of_rate = [row for row in rows if row["sample_rate"] == rate]
        n_draws = of_rate[0]["n_draws"]
        drawn = f", {n_draws} times; +-: half of the mean's 95 % interval" if n_draws > 1 else ""
        estimated = "" if rate == 1 else f", estimated from {rate:.3g} of the keys{drawn}"
        console.print(
            f"{rows[0]['trace']}: misses (miss ratio) by capacity in {unit}{estimated}", highlight=False, markup=False
        )
        table = Table("eviction")
        for capacity in capacities:
            table.add_column(f"{capacity:,}", justify="right")
        least = {c: min(row["n_misses"] for row in of_rate if row["capacity"] == c) for c in capacities}
        for name in dict.fromkeys(row["eviction"] for row in of_rate):
            cells = []
            for row in (row for row in of_rate if row["eviction"] == name):
                text = f"{row['n_misses']:,} ({row['miss_ratio']:.4f}{_within(row)})"
                cells.append(f"[bold]{text}[/bold]" if row["n_misses"] == least[row["capacity"]] else text)
            table.add_row(name, *cells)
        console.print(table)
        errors = [abs(row["miss_ratio_error"]) for row in of_rate if row["miss_ratio_error"] is not None]
        if errors:
            console.print(
                f"Against the whole trace, miss ratios are off by {sum(errors) / len(errors):.4f} in the mean, "
                f"{max(errors):.4f} at most.",
                highlight=False,
            )


def _within(row: dict[str, Any]) -> str:
    low, high = row["miss_ratio_low"], row["miss_ratio_high"]
    return "" if low is None else f" +-{(high - low) / 2:.4f}"


if __name__ == "__main__":
    app()
