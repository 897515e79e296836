"""The format of a trace file by its name."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from simulator.errors import InputError
from workloads.base import SourceSettings
from workloads.readers.format import FormatSettings, trace_path
from workloads.registry import SOURCES

_NO_COLUMNS = {"key": "key"}


def formats() -> dict[str, type[FormatSettings]]:
    """The settings of every trace format by its ``kind``."""
    return {kind: settings for kind, settings in SOURCES.items() if issubclass(settings, FormatSettings)}


def source_of(path: Path, format_: str, columns: dict[str, str], **settings: str) -> SourceSettings:
    """The settings of a file's reader. ``columns`` are the names that a table gives to them.

    ``settings`` are further ones, as in a config: ``block``, ``time_unit``.

    Raises:
        InputError: the format is unknown, or cannot be told from the name.
    """
    file, known = trace_path(str(path)), formats()
    if not file.is_file():
        where = "a folder" if file.is_dir() else "no such file, here or in the folder of traces"
        raise InputError(f"{path}: {where}; expected a trace (TIERFETCH_TRACES names the folder to look in)")
    kind = format_
    if format_ == "auto":
        kind = next((kind for kind, settings in known.items() if settings.recognises(file)), "")
        if not kind:
            raise InputError(
                f"{path}: its format cannot be told from its name; expected --format, one of {', '.join(known)}"
            )
    if kind not in known:
        raise InputError(f"--format {format_}: unknown; expected auto or one of {', '.join(known)}")
    given: dict[str, Any] = {"kind": kind, "path": str(path), **settings}
    if known[kind].block_unsaid is not None:
        given.setdefault("block", known[kind].block_unsaid)
    if "columns" in known[kind].model_fields:
        given["columns"] = columns
    elif columns != _NO_COLUMNS:
        raise InputError(f"{path}: a trace of format {kind} has no columns to name; expected a CSV or Parquet table")
    try:
        return SOURCES.validate(given)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        name = str(problem["loc"][-1])
        if problem["type"] == "extra_forbidden":
            raise InputError(f"{path}: a trace of format {kind} has no {name} to choose") from None
        raise InputError(f"{path}: {name}: {problem['msg']}; got {problem['input']!r}") from None
