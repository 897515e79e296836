"""The trace that a command line names: a file of any known format, or the workload of a config."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.reading_options import ReadingOptions

if TYPE_CHECKING:
    from workloads.base import Reuse, SourceSettings
    from workloads.readers.reading import Reading
    from workloads.readers.tabular import TableConfig


@dataclass(frozen=True)
class TraceInput:
    """A trace to read, and where it is from."""

    name: str
    workload: Any
    files: list[Path]
    has_times: bool
    reuse: "Reuse"
    key_names: Path | None = None
    source: Any = None
    """The settings of what reads it."""

    @property
    def table(self) -> "TableConfig | None":
        """The settings of a table."""
        from workloads.readers.tabular import TableConfig

        return self.source if isinstance(self.source, TableConfig) else None

    def known_length(self) -> int | None:
        """How many accesses there are, unless it takes reading the file to know."""
        from workloads.readers.files import FileWorkload

        if isinstance(self.workload, FileWorkload):
            return self.workload.known_length()
        return None if self.files else int(self.workload.length())

    @property
    def reading(self) -> "Reading | None":
        """What was read of the file so far, of a table."""
        return getattr(self.workload, "reading", None)

    @property
    def hashed(self) -> dict[str, str]:
        """Of each column whose text was hashed so far: what it is for."""
        from workloads.readers.files import files_in

        return {column: name for file in files_in(self.workload) for column, name in file.reading.hashed.items()}

    def finish(self, say: Callable[[str], None]) -> None:
        """Once it was read: say what somebody should know of how, and write the texts of keys if that was asked for.

        Raises:
            InputError: they cannot be written.
        """
        from workloads.nearest import unread_columns
        from workloads.readers.files import files_in
        from workloads.readers.table_workload import TableWorkload

        for file in files_in(self.workload):
            for note in file.notes():
                say(note)
        if self.table is not None:
            for note in unread_columns(self.table):
                say(note)
        if self.key_names is not None and isinstance(self.workload, TableWorkload):
            say(_write_names(self.key_names, self.workload.key_texts))


def trace_input(path: Path, reading: ReadingOptions | None = None) -> TraceInput:
    """The trace that the options describe.

    Raises:
        InputError: it is missing, or its format cannot be told; what is bad in it shows when it is read.
    """
    from simulator.errors import InputError
    from workloads.readers.table_workload import TableWorkload

    reading = reading or ReadingOptions()
    source, seed = source_for(path, reading.format_, **_settings(reading))
    workload = source.build(seed)
    if reading.key_names is not None:
        if not isinstance(workload, TableWorkload):
            raise InputError(f"--key-names: keys of {path.name} are numbers; expected a trace whose keys are text")
        if reading.key_names.suffix != ".parquet" or not reading.key_names.resolve().parent.is_dir():
            raise InputError(f"--key-names {reading.key_names}: expected a file NAME.parquet in a folder that is there")
        if any(reading.key_names.resolve() == file.resolve() for file in source.files()):
            raise InputError(f"--key-names {reading.key_names}: is the trace itself; expected another name")
        workload.keeps_texts = True
    return TraceInput(path.name, workload, source.files(), source.has_times, source.reuse, reading.key_names, source)


def source_for(path: Path, format_: str = "auto", **settings: Any) -> "tuple[SourceSettings, int]":
    """The workload that a path names, a file, a config or a workload in a line; and the seed that it has.

    ``settings`` are what is said of a file's format, as in a config.

    Raises:
        InputError: as ``trace_input`` does.
    """
    from workloads.formats import source_of
    from workloads.registry import SOURCES

    if path.suffix in (".yaml", ".yml"):
        from experiments.loading import load, only

        experiment = only(load(path))
        return experiment.workload.source, experiment.seeds[0]
    if "(" in path.name and not path.exists():
        # Such as 'zipf(n_keys=1000, exponent=0.9, accesses=20000, block=4 KiB)'.
        return SOURCES.parse(str(path)), 0
    return source_of(path, format_, **settings), 0


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


def _settings(reading: ReadingOptions) -> dict[str, Any]:
    """What the options say, by the names of settings."""
    said = {
        name: value
        for name, value in vars(reading).items()
        if value is not None and value is not False and name not in ("format_", "columns", "features", "key_names")
    }
    if said.pop("no_header", False):
        said["header"] = False
    if reading.columns is not None:
        said["columns"] = _parsed(reading.columns, "--columns")
    if reading.features is not None:
        said.setdefault("columns", {"key": "key"})["features"] = _parsed(reading.features, "--features")
    return said


def _parsed(text: str, option: str) -> dict[str, Any]:
    from simulator.errors import InputError
    from workloads.readers.tabular import Columns

    names = [name for name in Columns.model_fields if name != "features"]
    found: dict[str, Any] = {}
    for item in text.split(","):
        name, equals, column = (part.strip() for part in item.partition("="))
        if not equals or not column or (option == "--columns" and name not in names) or not name:
            one = f"NAME one of {', '.join(names)}" if option == "--columns" else "any NAME"
            raise InputError(f"{option} {item}: expected NAME=COLUMN with {one}")
        if name in found:
            raise InputError(f"{option} {text}: {name} is there twice; expected one column")
        found[name] = column
    if option == "--columns" and "key" not in found:
        raise InputError(f"--columns {text}: names no key; expected key=COLUMN")
    return found


def _write_names(path: Path, texts: dict[int, str]) -> str:
    """Write the text of each hashed key; what was done, in a line."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from experiments.aside import written_aside

    table = pa.table({"key": pa.array(texts.keys(), pa.uint64()), "text": pa.array(texts.values(), pa.string())})
    with written_aside(path) as aside:
        pq.write_table(table, aside)
    return f"Written: {path}, the text of {len(texts):,} keys"
