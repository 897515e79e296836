"""``tierfetch export RESULT``: a table of results as CSV, Markdown or LaTeX."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.exits import exit_codes

if TYPE_CHECKING:
    from experiments.results import KeptResults
    from experiments.written import Written


class Table(StrEnum):
    """What can be exported."""

    SUMMARY = "summary"
    RUNS = "runs"
    COMPARISONS = "comparisons"
    ATTRIBUTION = "attribution"
    BY_PHASE = "by_phase"


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    result: Annotated[Path, typer.Argument(help="A folder of results, as list names them.")],
    csv: Annotated[bool, typer.Option("--csv", help="As CSV: the columns' names, and numbers in full.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="As a table of Markdown, numbers rounded with their units.")
    ] = False,
    latex: Annotated[bool, typer.Option("--latex", help="The same as a tabular of LaTeX, without packages.")] = False,
    table: Annotated[
        Table, typer.Option(help="Which: summary has a row for each arm, all others are as docs/metrics.md defines.")
    ] = Table.SUMMARY,
    columns: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Only these, in this order.", show_default="all")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it there, in place of what is there.", show_default="-")
    ] = None,
) -> None:
    """Write a table of finished results as CSV, Markdown or LaTeX; of a folder with several variants, of all of them.

    Exit codes: 0 done, 2 bad input, such as results that are not whole.
    """
    with exit_codes("nothing was written"):
        from experiments.stores.chosen import here
        from experiments.variant_tables import table_of_variants
        from experiments.variants import KeptVariants, opened
        from experiments.written import as_csv, as_latex, as_markdown
        from simulator.errors import InputError

        forms = [form for form, is_wanted in ((as_csv, csv), (as_markdown, markdown), (as_latex, latex)) if is_wanted]
        if len(forms) != 1:
            raise InputError("expected one of --csv, --markdown and --latex")
        if out is not None:
            check_out(out, result)
        found = opened(here(result))
        if isinstance(found, KeptVariants):
            written = table_of_variants(found, table.value, is_shown=not csv)
        else:
            written = _table(found, table, is_shown=not csv)
        text = forms[0](_some(written, columns))
        if out is None:
            typer.echo(text, nl=False)
        else:
            from experiments.aside import written_aside

            with written_aside(out) as aside:
                aside.write_text(text)


def check_out(out: Path, result: Path) -> None:
    """Raises InputError where a file would take the place of what is none, or of a table."""
    from simulator.errors import InputError

    if out.is_symlink():
        # It would be replaced, not what it leads to: /dev/stdout is one.
        raise InputError(f"--out {out}: is a link; expected a file, or a new name")
    if out.exists() and not out.is_file():
        raise InputError(f"--out {out}: is no file; expected one, or a new name")
    if not out.parent.is_dir():
        raise InputError(f"--out {out}: no such folder {out.parent}; expected one that is there")
    if result.resolve() in out.resolve().parents:
        raise InputError(f"--out {out}: lies in the folder of the results, which holds nothing else; expected another")


def _table(kept: "KeptResults", table: Table, *, is_shown: bool) -> "Written":
    """A table as it is; in a summary that is shown, the baseline says that it is one."""
    from experiments.report import summary, titles_of
    from experiments.results import table_of
    from experiments.written import Written

    if table is Table.SUMMARY:
        kept.check_whole()
        of_arm: dict[str, list[dict[str, Any]]] = {arm: [] for arm in kept.arms}
        for row in kept.rows:
            of_arm[row["arm"]].append(row)
        rows = summary(of_arm, kept.compared())
        if is_shown:
            rows = [row | {"arm": row["arm"] + " (baseline)" * (row["arm"] == kept.baseline)} for row in rows]
            return Written(titles_of(rows), rows)
        return Written({name: name for name in titles_of(rows)}, rows)
    if table is Table.COMPARISONS:
        # Not those of other seeds than were asked for last.
        kept.compared()
    found = table_of(kept.folder, table.value)
    return Written({name: name for name in found.schema.names}, found.to_pylist())


def _some(table: "Written", columns: str | None) -> "Written":
    from difflib import get_close_matches

    from simulator.errors import InputError

    if columns is None:
        return table
    wanted = [name.strip() for name in columns.split(",")]
    for name in wanted:
        if name not in table.columns:
            close = get_close_matches(name, table.columns, 1)
            meant = f"did you mean {close[0]!r}?" if close else f"expected some of {', '.join(table.columns)}"
            raise InputError(f"--columns {columns}: there is no {name!r}; {meant}")
    return table._replace(columns={name: table.columns[name] for name in wanted})


if __name__ == "__main__":
    app()
