"""``tierfetch merge DIR... --out FOLDER``: what shards have made, as one command would have made it."""

from pathlib import Path
from typing import Annotated

import typer

from experiments.exits import exit_codes

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="What shards were told as --out, in any order.")
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Where to put it all together.")],
    quiet: Annotated[bool, typer.Option("--quiet", help="Say only what is missing, or wrong.")] = False,
) -> None:
    """Put the results of shards together: the same tables as one command leaves that makes all runs.

    May be said again, with more shards or with all: what is there already is kept. Nothing that the shards have is
    changed. Exit codes: 0 done, 2 bad input, or runs are missing: each shard that lacks some is named with its command.
    """
    with exit_codes("what was merged is kept; say the same again to go on"):
        from experiments.merging import merge
        from experiments.progress import make_console
        from experiments.stores.chosen import here, staged
        from simulator.errors import InputError

        console = make_console()
        stage = staged(out, {})
        if stage is not None:
            stage.pull_all()
            out = stage.folder
        found = merge([here(folder) for folder in folders], out)
        if stage is not None:
            stage.push_all()
        for line in (*found.notes, *found.missing):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        if not quiet:
            text = f"{found.n_runs:,} runs of {found.n_experiments:,} experiment{'s' * (found.n_experiments != 1)}"
            console.print(f"{text}, {found.n_new:,} of them new: {out}", highlight=False, markup=False, soft_wrap=True)
        if found.missing:
            raise InputError(f"{out}: {found.n_missing:,} run{'s are' if found.n_missing != 1 else ' is'} missing")


if __name__ == "__main__":
    app()
