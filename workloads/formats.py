"""The format of a trace file by its name, and by what is in it."""

from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from simulator.errors import InputError
from workloads.base import SourceSettings
from workloads.readers.format import FormatSettings, trace_path
from workloads.registry import SOURCES

_ROWS_TRIED = 50


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
            raise InputError(f"{path}: its format cannot be told from its name; {_nearest(path)}")
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
    return source


def _nearest(path: Path) -> str:
    """Which format reads the first rows of a file, or comes closest and why not; and the command."""
    best: tuple[int, str, str] | None = None
    for kind, settings in formats().items():
        given: dict[str, Any] = {"kind": kind, "path": str(path)}
        if "columns" in settings.model_fields:
            continue
        n = 0
        try:
            source = SOURCES.validate(given)
            for batch in islice(source.build(0).batches(), 1):
                n += len(batch)
            problem = ""
        except (InputError, ValidationError) as error:
            problem = str(error).splitlines()[0]
        if n and (best is None or n > best[0]):
            best = n, kind, problem
    if best is None:
        return (
            "no known format reads it; expected --format (python -m experiments.trace formats lists all), or --columns "
            "for a table"
        )
    n, kind, problem = best
    return f"its first rows are read by --format {kind}"
