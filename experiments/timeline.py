"""``tierfetch timeline RESULT``: a run on a time axis, for Perfetto."""

from pathlib import Path
from typing import Annotated

import typer

from experiments.exits import exit_codes

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    result: Annotated[Path, typer.Argument(help="A folder of results, as list names them.")],
    variant: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of a folder with several variants, this one.", show_default="none"),
    ] = None,
    arm: Annotated[str | None, typer.Option(help="Whose run.", show_default="the only one")] = None,
    seed: Annotated[int | None, typer.Option(help="Of which seed.", show_default="the only one")] = None,
    repeat: Annotated[int, typer.Option(help="Which repeat, where latencies were measured several times.")] = 0,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="From this simulated time on: 1.2s.", show_default="0 s"),
    ] = None,
    to: Annotated[
        str | None, typer.Option(metavar="TIME", help="Until this time.", show_default="see --events")
    ] = None,
    access: Annotated[int | None, typer.Option(metavar="N", help="Around this access and what led to it.")] = None,
    prefetch: Annotated[
        int | None, typer.Option(metavar="N", help="Around this prefetch, from its question to its first use.")
    ] = None,
    around: Annotated[str, typer.Option(metavar="TIME", help="How much before and after these two.")] = "1 ms",
    events: Annotated[
        int, typer.Option(min=1, max=10**9, help="About how many to write where --to does not say it.")
    ] = 50_000,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Write it there, in place of what is there.")] = Path(
        "trace.pftrace"
    ),
) -> None:
    """Write a run as a timeline that Perfetto opens: https://ui.perfetto.dev, which uploads nothing.

    Tracks for accesses, questions, the inference server, prefetches and links; flows from who asked to who used it.
    Links need the table transfers: run with --set output.transfers=true. Exit codes: 0 done, 2 bad input.
    """
    with exit_codes("nothing was written"):
        from experiments.aside import written_aside
        from experiments.export import check_out
        from experiments.extras import need
        from experiments.stores.chosen import here
        from experiments.timelines.rows import RunRows
        from experiments.timelines.span import span_of
        from experiments.timelines.whole import write_timeline
        from experiments.variants import one_of

        need("timeline", "perfetto")
        check_out(out, result)
        from_ns, to_ns = (None if text is None else _ns(option, text) for option, text in (("from", from_), ("to", to)))
        rows = RunRows.open(one_of(here(result), variant), arm, seed, repeat)
        rows.need("accesses", "a timeline")
        span = span_of(rows, from_ns, to_ns, access, prefetch, _ns("around", around), events)
        with written_aside(out) as aside:
            written = write_timeline(rows, span, aside)
        for line in written.lines(out):
            typer.echo(line)


def _ns(option: str, text: str) -> int:
    from simulator.errors import InputError
    from simulator.units import parse_ns

    try:
        return parse_ns(text)
    except ValueError as error:
        raise InputError(f"--{option}: {error}") from None


if __name__ == "__main__":
    app()
