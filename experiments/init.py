"""``tierfetch init``: a small commented config for a trace of one's own, which runs as it is."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.exits import exit_codes
from experiments.reading_options import ReadingOptions, reads_a_trace

if TYPE_CHECKING:
    from experiments.trace_input import TraceInput
    from workloads.readers.tabular import TableConfig

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
@reads_a_trace
def main(
    reading: ReadingOptions,
    trace: Annotated[
        Path | None,
        typer.Option(help="A trace file, as given or in TIERFETCH_TRACES.", show_default="a synthetic workload"),
    ] = None,
    preset: Annotated[
        str, typer.Option(metavar="NAME", help="The machine: h100-sxm-pcie5, a100-pcie4, gh200, rtx4090 or cpu.")
    ] = "h100-sxm-pcie5",
    out: Annotated[Path, typer.Option(metavar="FILE", help="The config to write.")] = Path("config.yaml"),
) -> None:
    """Write a small commented config that runs at once, for a trace and a machine of your own.

    The format of the trace is told by its name or its first lines; --format and --columns say it where nothing tells.
    Exit codes: 0 done, 2 bad input, 4 code of yours failed, 130 interrupted, 1 a bug.
    """
    with exit_codes("nothing was written"):
        from experiments.first_config import first_config
        from experiments.progress import make_console
        from simulator.errors import InputError

        if out.suffix not in (".yaml", ".yml"):
            raise InputError(f"--out {out}: expected a name that ends in .yaml")
        if out.exists():
            raise InputError(f"--out {out}: is there already; expected another name")
        if not out.absolute().parent.is_dir():
            raise InputError(f"--out {out}: no such folder; expected one that is there")
        given, is_guess = (None, False) if trace is None else _read(trace, reading)
        text = first_config(out, preset, given, is_guess=is_guess)
        # Not over a file that came to be meanwhile.
        with out.open("x") as file:
            file.write(text)
        make_console().print(f"Written: {out}. Run it: tierfetch run {out}", highlight=False, markup=False)


def _read(trace: Path, reading: ReadingOptions) -> "tuple[TraceInput, bool]":
    """The trace; and whether what its columns are was guessed by their names.

    Raises:
        InputError: there is no such trace, or nothing tells its format.
    """
    from dataclasses import replace

    from experiments.trace_input import trace_input
    from simulator.errors import InputError
    from workloads.nearest import unread_columns
    from workloads.readers.format import trace_path
    from workloads.readers.tabular import Columns, TableConfig

    if trace.suffix in (".yaml", ".yml"):
        raise InputError(f"--trace {trace}: is a config; expected a trace")
    try:
        found = trace_input(trace, reading)
        if found.table is None or reading.columns is not None or not unread_columns(found.table):
            return found, False
        # It has a key, and further columns that are called sizes or operations.
        return trace_input(trace, replace(reading, columns=_guessed(found.table))), True
    except InputError:
        file = trace_path(str(trace))
        if reading.format_ != "auto" or reading.columns is not None or not file.is_file():
            raise
        table = TableConfig(
            kind="table", path=str(trace), columns=Columns(key="key"), separator=reading.separator or ""
        )
        columns = _guessed(table)
        if "key=" not in columns:
            raise
        return trace_input(trace, replace(reading, columns=columns)), True


def _guessed(table: "TableConfig") -> str:
    """What a table's columns may be, by their names, as ``--columns`` says it."""
    from workloads.nearest import guessed_columns

    found = guessed_columns(list(table.table().names()))
    # The unit of a time is not told by its name.
    return ",".join(f"{role}={name}" for role, name in found.items() if role != "time_ns")


if __name__ == "__main__":
    app()
