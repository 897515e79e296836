"""``tierfetch explain RESULT``: why a prefetch came when it did, or an access took so long, in words."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.exits import exit_codes

if TYPE_CHECKING:
    from experiments.timelines.rows import RunRows

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
    prefetch: Annotated[int | None, typer.Option(metavar="N", help="Of the prefetch with this number.")] = None,
    access: Annotated[int | None, typer.Option(metavar="N", help="Of the access with this number.")] = None,
    worst: Annotated[int | None, typer.Option(metavar="N", min=1, help="Of the N accesses that took longest.")] = None,
    latest: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Of the N prefetches that came latest after they were wanted."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All of it as JSON, for programs: a list.")] = False,
) -> None:
    """Say what happened to a prefetch or an access, and what a hit would have needed.

    Which transfers were in its way is in the table transfers: run with --set output.transfers=true. Exit codes: 0
    done, 2 bad input.
    """
    with exit_codes("nothing was to be written"):
        from experiments.stores.chosen import here
        from experiments.timelines.rows import RunRows
        from experiments.variants import one_of
        from simulator.errors import InputError

        if sum(value is not None for value in (prefetch, access, worst, latest)) != 1:
            raise InputError("expected one of --prefetch, --access, --worst and --latest")
        rows = RunRows.open(one_of(here(result), variant), arm, seed, repeat)
        told = _told(rows, prefetch, access, worst, latest)
        if as_json:
            import json

            typer.echo(json.dumps([asdict(story) for story, _ in told], indent=1))
            return
        paragraphs = [lines for _, lines in told]
        if latest is not None:
            paragraphs = [_of_all(rows), *paragraphs]
        _print(paragraphs, has_transfers=rows.has("transfers"))


def _told(
    rows: "RunRows", prefetch: int | None, access: int | None, worst: int | None, latest: int | None
) -> list[tuple[Any, list[str]]]:
    """Stories, and each in words."""
    from experiments.explained import accesses, prefetches, words

    if access is not None or worst is not None:
        rows.need("accesses", "explain")
        numbers = [access] if access is not None else accesses.worst(rows, worst or 0)
        found = [accesses.access_story(rows, number) for number in numbers]
        return [(story, words.of_access(story)) for story in found]
    rows.need("prefetches", "explain")
    numbers = [prefetch] if prefetch is not None else prefetches.latest(rows, latest or 0)
    brought = [prefetches.prefetch_story(rows, number) for number in numbers]
    return [(story, words.of_prefetch(story)) for story in brought]


def _of_all(rows: "RunRows") -> list[str]:
    from experiments.explained.prefetches import lateness
    from experiments.explained.words import of_lateness

    found = lateness(rows)
    return ["no prefetch came late"] if found is None else of_lateness(found)


def _print(paragraphs: list[list[str]], *, has_transfers: bool) -> None:
    from experiments.timelines.rows import ASKS_FOR

    for i, (first, *others) in enumerate(paragraphs):
        typer.echo(("\n" if i else "") + "\n  ".join([first, *others]))
    if not has_transfers:
        typer.echo(f"what was in the way on the links is not kept: run it again with {ASKS_FOR['transfers']}")


if __name__ == "__main__":
    app()
