"""The format of a trace file by its name, and by what is in it."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from simulator.errors import InputError
from workloads.base import SourceSettings
from workloads.nearest import by_number, likely_columns, nearest
from workloads.readers.format import FormatSettings, trace_path
from workloads.registry import SOURCES


def formats() -> dict[str, type[FormatSettings]]:
    """The settings of every trace format by its ``kind``."""
    return {kind: settings for kind, settings in SOURCES.items() if issubclass(settings, FormatSettings)}


def source_of(path: Path, format_: str = "auto", **settings: Any) -> SourceSettings:
    """The settings of a file's reader; ``settings`` are what is said of it, as in a config.

    Raises:
        InputError: the format is unknown, or cannot be told, or has no such setting.
    """
    file, known = trace_path(str(path)), formats()
    if not file.is_file():
        where = "a folder" if file.is_dir() else "no such file, here or in the folder of traces"
        raise InputError(f"{path}: {where}; expected a trace (TIERFETCH_TRACES names the folder to look in)")
    kind = format_
    if format_ == "auto":
        kind = "table" if "columns" in settings else next((k for k, s in known.items() if s.recognises(file)), "")
        if not kind:
            helpful = nearest(file, known, otherwise=by_number(file))
            raise InputError(f"{path}: its format cannot be told from its name; {helpful}")
    if kind not in known:
        raise InputError(f"--format {format_}: unknown; expected auto or one of {', '.join(known)}")
    given: dict[str, Any] = {"kind": kind, "path": str(path), **settings}
    if kind == "table":
        given.setdefault("columns", {"key": "key"})
    try:
        source = SOURCES.validate(given)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        name = str(problem["loc"][-1])
        if problem["type"] == "extra_forbidden":
            raise InputError(f"{path}: a trace of format {kind} has no {name} to choose") from None
        message = problem["msg"].removeprefix("Value error, ")
        raise InputError(f"{path}: {name}: {message}; got {problem['input']!r}") from None
    if format_ == "auto" and "columns" not in settings:
        _check_key(path, source)
    return source


def _check_key(path: Path, source: SourceSettings) -> None:
    """A table whose key nobody named has one that is called so. Raises InputError if not, with what might help."""
    from workloads.readers.tabular import TableConfig

    if not isinstance(source, TableConfig) or not source.header:
        return
    names = source.table().names()
    if "key" not in names:
        helpful = [text for text in (likely_columns(path, names), nearest(source.file, formats())) if text]
        raise InputError(f"{source.no_such('key', 'key', names)}; {'; '.join(helpful)}")
