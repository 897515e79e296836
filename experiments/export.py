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
    ACCESSES = "accesses"
    PREFETCHES = "prefetches"
    INFERENCES = "inferences"
    DECISIONS = "decisions"
    TRANSFERS = "transfers"
    REQUESTS = "requests"
    UPDATES = "updates"
    WINDOWS = "windows"
    TRAINING = "training"


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
        Table,
        typer.Option(
            help="Which: summary has a row for each arm, all others are as docs/metrics.md defines; what grows with "
            "the trace as CSV alone."
        ),
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
        from experiments.folder import OF_RUNS
        from experiments.stores.chosen import here
        from experiments.streamed import stream
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
        if table.value in OF_RUNS:
            if not csv:
                raise InputError(f"--table {table.value}: grows with the trace; expected --csv")
            stream(found, table.value, columns, out)
            return
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
    from experiments.written import Written

    if table is Table.SUMMARY:
        kept.check_whole()
        of_arm: dict[str, list[dict[str, Any]]] = {arm: [] for arm in kept.arms}
        for row in kept.rows:
            of_arm[row["arm"]].append(row)
        rows = summary(of_arm, kept.compared())
        titles = {key: key for key in kept.swept.keys}
        rows = [kept.said_of_arm(row["arm"], is_shown=is_shown) | row for row in rows]
        if is_shown:
            rows = [row | {"arm": row["arm"] + " (baseline)" * (row["arm"] == kept.baseline)} for row in rows]
            return Written(titles | titles_of(rows), rows)
        return Written(titles | {name: name for name in titles_of(rows)}, rows)
    if table is Table.COMPARISONS:
        # Not those of other seeds than were asked for last.
        kept.compared()
    found = kept.table(table.value)
    rows = found.to_pylist()
    if is_shown and kept.swept.keys:
        rows = [row | kept.said_of_arm(row["arm"], is_shown=True) for row in rows]
    return Written({name: name for name in found.schema.names}, rows)


def _some(table: "Written", columns: str | None) -> "Written":
    if columns is None:
        return table
    return table._replace(columns={name: table.columns[name] for name in chosen(columns, list(table.columns))})


def chosen(columns: str, there: list[str]) -> list[str]:
    """The names that ``--columns`` says. Raises InputError if one of them is not there."""
    from difflib import get_close_matches

    from simulator.errors import InputError

    wanted = [name.strip() for name in columns.split(",")]
    for name in wanted:
        if name not in there:
            close = get_close_matches(name, there, 1)
            meant = f"did you mean {close[0]!r}?" if close else f"expected some of {', '.join(there)}"
            raise InputError(f"--columns {columns}: there is no {name!r}; {meant}")
    return wanted


if __name__ == "__main__":
    app()
