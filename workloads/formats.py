"""The format of a trace file by its name, and by what is in it."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from simulator.errors import InputError
from simulator.outside import is_reference
from workloads.base import SourceSettings
from workloads.nearest import by_number, likely_columns, nearest
from workloads.readers.format import FormatSettings, trace_path
from workloads.readers.peek import first_bytes, first_record
from workloads.registry import SOURCES

_ZIP = b"PK\3\4"
_TAR = b"ustar"
_TAR_AT = 257
"""Where a tar file says that it is one."""


def formats() -> dict[str, type[FormatSettings]]:
    """The settings of every trace format by its ``kind``; without those of packages that cannot be imported."""
    return {kind: settings for kind, settings in SOURCES.usable().items() if issubclass(settings, FormatSettings)}


def source_of(path: Path, format_: str = "auto", **settings: Any) -> SourceSettings:
    """The settings of a file's reader; ``settings`` are what is said of it, as in a config.

    Raises:
        InputError: the format is unknown, or cannot be told, or has no such setting.
    """
    file, known = trace_path(str(path)), formats()
    if not file.is_file():
        where = "a folder" if file.is_dir() else "no such file, here or in the folder of traces"
        raise InputError(f"{path}: {where}; expected a trace (TIERFETCH_TRACES names the folder to look in)")
    if is_reference(format_):
        # A class of one's own, which reads what it wants to.
        return _validated(path, {"kind": "python", "class": format_, "path": str(path), "settings": settings})
    kind = format_
    if format_ == "auto":
        kind = "table" if "columns" in settings else next((k for k, s in known.items() if s.recognises(file)), "")
        if not kind:
            raise InputError(_untold(path, file, known))
    if kind == "table":
        _check_unpacked(path, file)
    if kind not in known:
        raise InputError(f"--format {format_}: unknown; expected auto or one of {', '.join(known)}")
    given: dict[str, Any] = {"kind": kind, "path": str(path), **settings}
    if kind == "table":
        given.setdefault("columns", {"key": "key"})
    source = _validated(path, given)
    if format_ == "auto" and "columns" not in settings:
        _check_key(path, source)
    return source


def _validated(path: Path, given: dict[str, Any]) -> SourceSettings:
    """The settings that are said of a file. Raises InputError if one of them is wrong."""
    try:
        return SOURCES.validate(given)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        name = str(problem["loc"][-1])
        if problem["type"] == "extra_forbidden":
            raise InputError(f"{path}: a trace of format {given['kind']} has no {name} to choose") from None
        message = problem["msg"].removeprefix("Value error, ")
        got = "" if "; got " in message or isinstance(problem["input"], dict) else f"; got {problem['input']!r}"
        raise InputError(f"{path}: {name}: {message}{got}") from None


def _untold(path: Path, file: Path, known: dict[str, type[FormatSettings]]) -> str:
    """What is said of a file that is of no format by its name and its first line."""
    _check_unpacked(path, file)
    near, names = nearest(file, known, otherwise=by_number(file)), list(first_record(file))
    table = ""
    if names:
        table = f"--columns key=COLUMN with COLUMN one of {', '.join(names)} reads it as a table; "
    elif near.startswith("no known"):
        table = "--columns key=COLUMN,... reads it as a table; "
    # A command comes last, to be copied.
    return f"{path}: its format cannot be told from its name; {table}{near}"


def _check_unpacked(path: Path, file: Path) -> None:
    """Raises InputError of an archive."""
    start = first_bytes(file)
    if start.startswith(_ZIP) or start[_TAR_AT : _TAR_AT + len(_TAR)] == _TAR:
        raise InputError(f"{path}: is an archive; expected a file unpacked from it")


def _check_key(path: Path, source: SourceSettings) -> None:
    """A table whose key nobody named has one that is called so. Raises InputError if not, with what might help."""
    from workloads.readers.tabular import TableConfig

    if not isinstance(source, TableConfig) or not source.header:
        return
    names = source.table().names()
    if "key" not in names:
        problem = source.no_such("key", "key", names)
        likely = likely_columns(path, names) or (
            "" if "--columns" in problem else "--columns key=COLUMN says which it is"
        )
        raise InputError("; ".join(text for text in (problem, likely, nearest(source.file, formats())) if text))
