"""``tierfetch report RESULT...``: a page of results in one file, to be read and sent."""

from pathlib import Path
from typing import Annotated

import typer

from experiments.exits import exit_codes

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    results: Annotated[
        list[Path],
        typer.Argument(metavar="RESULT...", help="Folders of results, as list names them, of bounds or of break-even."),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The page, in place of what is there.")] = Path(
        "report.html"
    ),
) -> None:
    """Write a page of results: one HTML file with all charts, which needs no network.

    The verdict first; then arms side by side, where the latency goes, distributions, phases, what became of every
    access and prefetch, timeliness, inference, training, links, notes, and how to make it again. Needs the extra
    `report` of tierfetch. Exit codes: 0 done, 2 bad input, such as a folder without results.
    """
    with exit_codes("nothing was written"):
        from experiments.stores.chosen import here

        write_page([here(result) for result in results], out)
        typer.echo(f"Page: {out}")


def write_page(folders: list[Path], out: Path) -> None:
    """Write the page of some results.

    Raises:
        InputError: there are none, the file cannot be one, or the extra is not installed.
    """
    from experiments.aside import written_aside
    from experiments.export import check_out

    check_extra()
    for folder in folders:
        check_out(out, folder)
    from experiments.page.render import page_of

    html = page_of(folders)
    with written_aside(out) as aside:
        aside.write_text(html, encoding="utf-8")


def page_beside(folder: Path) -> Path:
    """Write the page of an experiment beside its folder, which holds nothing else; where it is."""
    place = folder if folder.name not in ("", "..") else folder.resolve()
    out = place.with_name(f"{place.name}.html")
    write_page([folder], out)
    return out


def check_extra() -> None:
    """Raises InputError if what makes pages is not installed."""
    from experiments.extras import need

    need("report", "altair", "vl_convert", "jinja2")


if __name__ == "__main__":
    app()
