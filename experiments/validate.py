"""``tierfetch validate CONFIG``: the same runs on a live cache and in the simulator, and how far they are apart."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.exits import exit_codes

if TYPE_CHECKING:
    from experiments.validation.whole import Outcome

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    config: Annotated[Path, typer.Argument(help="The experiment, a YAML file; or the name of a shipped one: mixed.")],
    machine: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A preset that tierfetch calibrate made of this machine.",
            show_default="dram over a file, measured now",
        ),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where the blocks lie meanwhile, in a file that is removed.",
            show_default="where the preset's file was, else here",
        ),
    ] = None,
    accesses: Annotated[
        int | None, typer.Option(min=100, help="The first accesses of the trace.", show_default="20000")
    ] = None,
    block: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Of every block.", show_default="the trace's, else 64KiB")
    ] = None,
    think: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="From an answer to a stream's next request.", show_default="the config's, else 1 ms"
        ),
    ] = None,
    arms: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Only these.", show_default="all that a cache can run")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="0,1,2", help="In place of the config's.", show_default=False)
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(min=1, max=100, help="Live runs of each arm and seed.", show_default="3")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY.PATH=VALUE", help="Override a key of the config; may be given again."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="For both sides' results.", show_default="results/<name>-validated-<hash>"),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw one against the other (.png, .svg, .pdf; tierfetch[report])."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="What was found as JSON, for programs, and no progress.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="In place of what is there.")] = False,
) -> None:
    """Run an experiment on a cache that moves real bytes, and in the simulator: how far is it from this machine?

    Accesses, policies and seeds are the same; the simulator has the machine's preset, with and without what the cache
    itself takes, and is charged the latencies of inference that were recorded live. What is scaled to fit is said.
    Exit codes: 0 done, 2 bad input, 4 a policy of your own failed, 130 interrupted, 143 terminated, 1 a bug.
    """
    with exit_codes("no blocks are left; --force begins anew"):
        from experiments.loading import load, only
        from experiments.new_files import check_free, check_picture
        from experiments.run import parse_seeds
        from experiments.shipped import config_named
        from experiments.validation.asked import asked
        from experiments.validation.whole import default_out, validated

        path = config_named(config)
        experiment = only(load(path, sets=set_ or [], seeds=parse_seeds(seeds)))
        wanted = asked(accesses, repeats, block, think, arms, out or default_out(experiment), store)
        check_picture(plot)
        check_free("--plot", plot, is_forced=force)
        with _said_by_code():
            outcome = validated(path, experiment, machine, wanted, is_quiet=as_json, is_forced=force)
        _finish(outcome, plot, as_json=as_json)


@contextmanager
def _said_by_code() -> Iterator[None]:
    """What a live cache fails with, as commands end: a policy of one's own, or a disk."""
    from experiments.exits import RunsFailedError
    from live.errors import EngineError, LiveError, WrongBytesError
    from simulator.errors import InputError

    try:
        yield
    except WrongBytesError:
        # Ours, and a bug.
        raise
    except EngineError as error:
        raise RunsFailedError(f"error: {error}") from error
    except LiveError as error:
        raise InputError(f"--store: the live cache has failed: {error}") from error


def _finish(outcome: "Outcome", plot: Path | None, *, as_json: bool) -> None:
    """Print it, and draw it: what was measured for minutes is told before anything else can fail."""
    _print(outcome, as_json=as_json)
    if plot is not None:
        from experiments.aside import written_aside
        from experiments.charts.style import Arms
        from experiments.charts.validation import validation
        from experiments.plot import Format, drawn

        of = Arms(outcome.arms, outcome.baseline)
        chart = validation(outcome.found.rows["cache"], of)
        picture = drawn(chart, Format(plot.suffix.lower().lstrip(".")), width=560)
        with written_aside(plot) as aside:
            aside.write_bytes(picture)


def _print(outcome: "Outcome", *, as_json: bool) -> None:
    if as_json:
        typer.echo(outcome.text)
        return
    from experiments.progress import make_console
    from experiments.validation.told import print_validated

    console = make_console()
    print_validated(console, outcome.found)
    console.print(f"Live: {outcome.folder}/live/r0, ...; simulated: {outcome.folder}/cache/r0, ...; all figures: "
                  f"{outcome.folder}/validation.parquet", highlight=False, markup=False, soft_wrap=True)  # fmt: skip


if __name__ == "__main__":
    app()
