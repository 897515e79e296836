"""``tierfetch search CONFIG``: the best setting of an arm, by trials that Optuna proposes."""

from pathlib import Path
from typing import Annotated

import typer

from experiments.exits import exit_codes
from experiments.jobs import Jobs

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    config: Annotated[Path, typer.Argument(help="The experiment, a YAML file; or the name of a shipped one: mixed.")],
    trials: Annotated[int, typer.Option(min=1, metavar="N", help="So many settings are tried.")] = 50,
    minimize: Annotated[
        str | None, typer.Option(metavar="METRIC", help="What shall be low.", show_default="mean_latency_ns")
    ] = None,
    maximize: Annotated[
        str | None, typer.Option(metavar="METRIC", help="Or what shall be high: hit_ratio.", show_default=False)
    ] = None,
    arm: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose settings.", show_default="the arm that the keys are of")
    ] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY.PATH=VALUES",
            show_default=False,
            help="Search a key over 1..8 or 1GiB,2GiB or 'log(1 us, 1 ms, 7)', as the config's sweep may; may be "
            "given again.",
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY.PATH=VALUE", help="Override a key of the config; may be given again."),
    ] = None,
    variant: Annotated[
        str | None, typer.Option(metavar="NAME", help="A variant of the config.", show_default=False)
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="0,1,2", help="Seeds in place of the config's.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the proposals: the same ones each time.")] = 0,
    confirm: Annotated[
        int, typer.Option(min=0, metavar="N", help="Run the best on so many fresh seeds; 0: do not.")
    ] = 10,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results.", show_default="results/<name>-search-<hash>")
    ] = None,
    jobs: Jobs = 1,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress and no closing table.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say how many runs at most, and how long they take.")
    ] = False,
) -> None:
    """Search the best setting of an arm over the keys of a sweep, and say by how much it is better than the config's.

    Each trial runs the arm alone, seed by seed, and is stopped once it is shown to be worse than the best so far.
    Finished runs are kept: say it again to go on, or with more trials. Exit codes: 0 done, 2 bad input, 3 processes of
    --jobs died again and again, 4 a policy, a model or a format of your own failed (all other trials are kept), 130
    interrupted.
    """
    with exit_codes("finished runs are kept; run the same command to go on"):
        from experiments.loading import read, said_of
        from experiments.progress import make_console
        from experiments.run import parse_seeds
        from experiments.searching.space import Space
        from experiments.searching.trials import Goal
        from experiments.shipped import config_named
        from simulator.errors import InputError

        if minimize is not None and maximize is not None:
            raise InputError(f"--minimize {minimize} --maximize {maximize}: expected one of them")
        goal = Goal(maximize or minimize or "mean_latency_ns", maximize is None)
        goal.check()
        path = config_named(config)
        said = said_of(read(path), path, set_ or [], parse_seeds(seeds), sweep or [], may_be_large=True)
        names = list(said.by_variant)
        if variant is None and len(names) > 1:
            raise InputError(f"--variant: expected one of {', '.join(names)}")
        if variant is not None and (variant not in names or "" in names):
            expected = "none" if "" in names else f"one of {', '.join(names)}"
            raise InputError(f"{path} has no variant {variant!r}; expected {expected}")
        if said.sweep is None:
            raise InputError(f"{path}: nothing to search; expected a sweep in the config, or --sweep KEY=VALUES")
        space = Space(path, said, variant or names[0], said.sweep, arm)
        from experiments.searching.driver import Wanted, out_of, search

        folder, console = out_of(space) if out is None else out, make_console()
        if folder.exists() and not folder.is_dir():
            raise InputError(f"--out {folder}: is a file; expected a folder")
        if dry_run:
            from experiments.searching.said import dry

            dry(space, trials, confirm, jobs, folder, console)
            return
        from experiments.searching.asking import Asking

        asking = Asking(space, is_minimized=goal.is_minimized, seed=seed)
        search(space, Wanted(goal, trials, confirm, jobs, quiet), asking, folder, console)


if __name__ == "__main__":
    app()
