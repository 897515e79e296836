"""The trace that a command line names: a file of any known format, or the workload of a config."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from workloads.base import Reuse

# The options that commands on traces have in common.
TracePath = Annotated[
    Path,
    typer.Argument(
        help="A trace file, as given or in TIERFETCH_TRACES; a config (.yaml): its workload; or a workload in a line."
    ),
]
Format = Annotated[
    str, typer.Option("--format", metavar="FORMAT", help="auto (by the name), or one of those it names.")
]
Columns = Annotated[
    str,
    typer.Option(
        metavar="NAME=COLUMN,...",
        help="CSV and Parquet: which column is key, and, if any, size_bytes, time_ns, stream, request and op.",
    ),
]
Block = Annotated[str | None, typer.Option(metavar="SIZE", help="Of every block, where the trace has no sizes.")]
TimeUnit = Annotated[
    str | None, typer.Option(metavar="UNIT", help="CSV and Parquet: of time_ns: ns, us, ms or s.", show_default="ns")
]
KEY_IS_KEY = "key=key"
_NAMES = ("key", "size_bytes", "time_ns", "stream", "request", "op")


@dataclass(frozen=True)
class TraceInput:
    """A trace to read, and where it is from."""

    name: str
    workload: Any
    files: list[Path]
    has_times: bool
    reuse: "Reuse"

    def known_length(self) -> int | None:
        """How many accesses there are, unless it takes reading the file to know."""
        from workloads.readers.files import FileWorkload

        if isinstance(self.workload, FileWorkload):
            return self.workload.known_length()
        return None if self.files else int(self.workload.length())


def trace_input(
    path: Path, format_: str = "auto", columns: str = KEY_IS_KEY, block: str | None = None, time_unit: str | None = None
) -> TraceInput:
    """The trace that the options describe.

    Raises:
        InputError: it is missing, or its format cannot be told; what is bad in it shows when it is read.
    """
    from workloads.formats import source_of
    from workloads.registry import SOURCES

    settings = {name: value for name, value in (("block", block), ("time_unit", time_unit)) if value is not None}
    seed = 0
    if path.suffix in (".yaml", ".yml"):
        from experiments.loading import load, only

        experiment = only(load(path))
        source, seed = experiment.workload.source, experiment.seeds[0]
    elif "(" in path.name and not path.exists():
        # Such as 'zipf(n_keys=1000, exponent=0.9, accesses=20000, block=4 KiB)'.
        source = SOURCES.parse(str(path))
    else:
        source = source_of(path, format_, _parsed(columns), **settings)
    return TraceInput(path.name, source.build(seed), source.files(), source.has_times, source.reuse)


def share_of(text: str, option: str, what: str = "a number") -> float:
    """A number above 0 and at most 1. Raises InputError if an option's text is none."""
    from simulator.errors import InputError

    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise InputError(f"{option} {text}: expected {what} above 0 and at most 1")
    return share


def _parsed(text: str) -> dict[str, str]:
    from simulator.errors import InputError

    found = {}
    for item in text.split(","):
        name, equals, column = (part.strip() for part in item.partition("="))
        if not equals or not column or name not in _NAMES:
            raise InputError(f"--columns {item}: expected NAME=COLUMN with NAME one of {', '.join(_NAMES)}")
        found[name] = column
    if "key" not in found:
        raise InputError(f"--columns {text}: names no key; expected key=COLUMN")
    return found
