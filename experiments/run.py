"""``tierfetch run CONFIG``: every arm with every seed, the tables, the comparison."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from experiments.exits import RunsFailedError, exit_codes
from experiments.jobs import JobsOrNone
from experiments.show import Full

if TYPE_CHECKING:
    from rich.console import Console

    from experiments.callbacks import Callback
    from experiments.clusters.joined import Cluster
    from experiments.config import Experiment
    from experiments.making import Made
    from experiments.shards import Share
    from experiments.until.looks import Look
    from experiments.until.targets import Until


class Breakdown(StrEnum):
    """What results can be told apart by."""

    PHASE = "phase"


class How(NamedTuple):
    """How an experiment is run, and what is said of it, as the options have it."""

    quiet: bool = False
    force: bool = False
    jobs: int | None = None
    by: Breakdown | None = None
    full: bool = False
    live: bool = False
    report: bool = False
    callbacks: Sequence["Callback"] = ()
    cluster: str | None = None
    until: "Until | None" = None

    @property
    def n_jobs(self) -> int:
        """So many processes at once, without a cluster; 0: one a core."""
        return 1 if self.jobs is None else self.jobs


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    config: Annotated[Path, typer.Argument(help="The experiment, a YAML file; or the name of a shipped one: mixed.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the tables, or s3://BUCKET/NAME.", show_default="results/<name>-<hash>"),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY.PATH=VALUE", help="Override a key of the config; may be given again."),
    ] = None,
    variant: Annotated[
        str | None,
        typer.Option(metavar="NAME,...", help="Only these variants of the config.", show_default="all that it has"),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="0,1,2", help="Seeds in place of the config's.", show_default=False)
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no closing table.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Repeat runs that are finished.")] = False,
    by: Annotated[
        Breakdown | None, typer.Option(help="Also a table of each arm by phase, of a workload of phases.")
    ] = None,
    full: Full = False,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY.PATH=VALUES",
            show_default=False,
            help="Run with each of several values of a key: 1GiB,2GiB or 1..8 or 'log(1 us, 1 ms, 7)'; may be given "
            "again for all combinations.",
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="K/N",
            show_default=False,
            help="Make the K-th of N parts of all runs, below OUT/shard-K-of-N; tierfetch merge puts them together.",
        ),
    ] = None,
    slices: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            show_default=False,
            help="Cut the trace into N slices in time, which --jobs, --shard and --cluster run side by side, and say "
            "what they come to together.",
        ),
    ] = None,
    ahead: Annotated[
        float | None,
        typer.Option(metavar="A", help="Run A slices ahead of each slice, not judged.", show_default="1"),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="METRIC=WIDTH,...",
            show_default=False,
            help="Add seeds until the 95 % interval of each arm's difference from the baseline is narrower than 1% of "
            "its mean, or 500 ns; ARM.METRIC=WIDTH: of that arm alone.",
        ),
    ] = None,
    most_seeds: Annotated[
        int | None,
        typer.Option(metavar="N", help="At most so many seeds with --until.", show_default="100"),
    ] = None,
    jobs: JobsOrNone = None,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            show_default=False,
            help="Make the runs on Ray: ray (one on this machine), auto, ray://HOST:PORT or HOST:PORT; --jobs says how "
            "many at once, by default as many as it has cores.",
        ),
    ] = None,
    live: Annotated[
        bool,
        typer.Option("--live", help="Show how all arms stand as they run, in a terminal; elsewhere lines."),
    ] = False,
    log: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LOGGER",
            show_default=False,
            help="Log runs as they are finished: mlflow, mlflow:FOLDER, or ./file.py:Class; may be given again.",
        ),
    ] = None,
    report: Annotated[
        bool,
        typer.Option("--report", help="Also a page of the results beside their folder, as tierfetch report makes it."),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Only say what would run, what is finished or missing, and about how long it takes."
        ),
    ] = False,
) -> None:
    """Run an experiment: all arms over all seeds, with the LSTM's own inference time on the simulated clock.

    Finished runs are not repeated: a run that was interrupted goes on where it stopped. Exit codes: 0 done, 2 bad input
    (the message says which file, line or key), 3 a process of --jobs or --cluster died again and again (all other runs
    are kept), 4 a policy, a model or a format of your own failed (as well), 130 interrupted and
    143 terminated (finished runs are kept), 1 a bug.
    """
    with exit_codes("finished runs are kept; run the same command to go on"):
        from experiments.loading import load_all
        from experiments.loggers.chosen import callbacks_of
        from experiments.many import run_many
        from experiments.shards import parse
        from simulator.errors import InputError

        wanted = None if variant is None else [name.strip() for name in variant.split(",")]
        if live and quiet:
            raise InputError("--live --quiet: one shows what the other hides; expected one of them")
        callbacks = callbacks_of(log or [], config)
        if until is None and most_seeds is not None:
            raise InputError(f"--most-seeds {most_seeds}: says when --until ends; expected --until as well")
        wanted_widths = None
        if until is not None:
            from experiments.until.targets import parse as parse_until

            wanted_widths = parse_until(until, most_seeds)
        how = How(
            quiet=quiet, force=force, jobs=jobs, by=by, full=full, live=live, report=report, callbacks=callbacks,
            cluster=cluster, until=wanted_widths,
        )  # fmt: skip
        part = None if shard is None else parse(shard)
        loaded = load_all(config, set_ or [], parse_seeds(seeds), wanted, sweep or [])
        if slices is None and ahead is not None:
            raise InputError(f"--ahead {ahead:g}: is what is run ahead of slices; expected --slices as well")
        if slices is not None:
            from experiments.slicing import sliced

            loaded = sliced(loaded, slices, 1.0 if ahead is None else ahead)
        run_many(loaded, out, how, part, str(config), dry_run=dry_run)


def parse_seeds(text: str | None) -> list[int] | None:
    """The numbers of an option. Raises InputError if they are none."""
    from simulator.errors import InputError

    if text is None:
        return None
    try:
        return [int(part) for part in text.replace(",", " ").split()]
    except ValueError:
        raise InputError(f"--seeds {text}: expected whole numbers such as 0,1,2") from None


def run_experiment(
    experiment: "Experiment", folder: Path, how: How, share: "Share | None" = None, cluster: "Cluster | None" = None
) -> "Look | None":
    """Do what the command does, for one experiment: make it, and print what came of it; the last look of ``--until``.

    Of a ``share`` its runs alone are made, of which nothing is to be said before they are merged.

    Raises:
        InputError: the trace, a recording or the folder is wrong, there are no phases to tell apart, or a page is
            asked for without the extra that makes it.
        RunsFailedError: a callback raised something.
    """
    from experiments.making import make
    from experiments.progress import make_console

    check_before(experiment, how)
    console = make_console()
    made = make(
        experiment, folder, console=console, quiet=how.quiet, force=how.force, jobs=how.n_jobs, live=how.live,
        callbacks=how.callbacks, share=share, cluster=cluster, until=how.until,
    )  # fmt: skip
    say(experiment, folder, how if share is None else how._replace(quiet=True, by=None, report=False), made, console)
    return made.look


def check_before(experiment: "Experiment", how: How) -> None:
    """What is asked for at the end can be had: not found out after hours of runs. Raises InputError if it cannot."""
    if how.report:
        from experiments.make_report import check_extra

        check_extra()
    if how.by is not None:
        from experiments.phases import check_phases

        check_phases(experiment)


def say(experiment: "Experiment", folder: Path, how: How, made: "Made", console: "Console") -> None:
    """Print what came of an experiment. Raises RunsFailedError if a callback raised something."""
    from experiments.plan import key_of

    rows, compared, phases, failed, experiment, look = made
    if not how.quiet:
        from experiments.closing import print_report
        from experiments.ranking import ranking

        ranked = ranking(rows, compared, experiment.baseline, folder)
        print_report(console, experiment, rows, compared, ranked, full=how.full)
    if how.by is not None:
        from experiments.phases import print_by_phase

        # Asked for by name: that nothing else is to be said does not take it back.
        asked_for = {key_of(row) for row in rows}
        print_by_phase(console, [row for row in phases if key_of(row) in asked_for])
    if not how.quiet:
        from experiments.notes import notes
        from workloads.readers.files import files_in
        from workloads.sizes import sizes_of

        workload = experiment.workload.source.build(experiment.seeds[0])
        sizes = sizes_of(workload)
        of_reading = [note for file in files_in(workload) for note in file.reading.of_rows()]
        for note in (*notes(experiment, rows, sizes), *of_reading):
            console.print(note, highlight=False, markup=False)
        if look is not None:
            console.print(look.said, highlight=False, markup=False)
        console.print(f"Tables: {folder}", highlight=False, markup=False)
    if how.report:
        from experiments.make_report import page_beside

        page = page_beside(folder)
        if not how.quiet:
            console.print(f"Page: {page}", highlight=False, markup=False)
    if failed:
        # The tables are whole, and said: now what was to be told of them elsewhere.
        raise RunsFailedError(f"error: {failed[0]}", *failed[1:])


if __name__ == "__main__":
    app()
