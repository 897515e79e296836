"""``tierfetch compare A B``: what differs between results, in their configs, what made them, and what came out."""

from pathlib import Path
from typing import Annotated

import typer

from experiments.exits import exit_codes

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command("compare")
def main(
    results: Annotated[
        list[Path], typer.Argument(metavar="A B ...", help="Folders of results; each is set against A.")
    ],
    arm: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A_ARM=B_ARM", help="Compare arms of two names; may be given again.", show_default="by name"
        ),
    ] = None,
    most: Annotated[int, typer.Option(min=0, help="So many accesses are named: whose latency changed most.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="All of it as JSON, for programs.")] = False,
) -> None:
    """Say what differs between results: no difference, or which.

    Seeds that made the same trace for both are pairs; of other seeds of one workload means are compared unpaired; of
    other traces nothing is claimed. A folder with several variants is set against another variant by variant, and by
    itself its variants against the first. A page of several results: tierfetch report A B. Exit codes: 0 done, whatever
    differs, 2 bad input.
    """
    with exit_codes("nothing was to be written"):
        from experiments.differences.sets import compared
        from experiments.stores.chosen import here

        found = compared([here(result) for result in results], arm or [], most)
        if as_json:
            import json

            from experiments.differences.sets import all_as_json

            typer.echo(json.dumps(all_as_json(found), indent=1))
            return
        from experiments.differences.sets import print_all
        from experiments.progress import make_console

        print_all(make_console(), found)


if __name__ == "__main__":
    app()
