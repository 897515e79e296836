"""The format of a trace file by its name."""

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from simulator.errors import InputError
from workloads import config as c
from workloads.readers.compact import about
from workloads.registry import trace_path

_SOURCE: Any = TypeAdapter(c.Source)
# What a file's name contains, the first that fits; packed files have a further ending.
_BY_NAME = (
    ("oraclegeneral", "oracle_general"), (".vscsi", "vscsi"), (".jsonl", "mooncake"), (".csv", "table"),
    (".parquet", "table"), ("cache2k", "binary_ids"), ("address", "addresses"), (".trace", "ids"), (".txt", "ids"),
    (".ids", "ids"),
)  # fmt: skip
FORMATS = (*dict.fromkeys(kind for _, kind in _BY_NAME), "compact")
_MOONCAKE_BLOCK = "64 MiB"


def source_of(path: Path, format_: str, columns: dict[str, str], **settings: str) -> c.Source:
    """The settings of a file's reader. ``columns`` are the names that a table gives to them.

    ``settings`` are further ones, as in a config: ``block``, ``time_unit``.

    Raises:
        InputError: the format is unknown, or cannot be told from the name.
    """
    if not trace_path(str(path)).is_file():
        where = "a folder" if trace_path(str(path)).is_dir() else "no such file, here or in the folder of traces"
        raise InputError(f"{path}: {where}; expected a trace (TIERFETCH_TRACES names the folder to look in)")
    kind = format_
    if format_ == "auto":
        kind = next((kind for part, kind in _BY_NAME if part in path.name.lower()), "")
        if not kind:
            raise InputError(
                f"{path}: its format cannot be told from its name; expected --format, one of {', '.join(FORMATS)}"
            )
        if kind == "table" and about(trace_path(str(path))) is not None:
            kind = "compact"
    if kind not in FORMATS:
        raise InputError(f"--format {format_}: unknown; expected auto or one of {', '.join(FORMATS)}")
    given: dict[str, Any] = {"kind": kind, "path": str(path), **settings}
    if kind == "mooncake":
        given.setdefault("block", _MOONCAKE_BLOCK)
    if kind == "table":
        given["columns"] = columns
    elif columns != {"key": "key"}:
        raise InputError(f"{path}: a trace of format {kind} has no columns to name; expected a CSV or Parquet table")
    try:
        source: c.Source = _SOURCE.validate_python(given)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        name = str(problem["loc"][-1])
        if problem["type"] == "extra_forbidden":
            raise InputError(f"{path}: a trace of format {kind} has no {name} to choose") from None
        raise InputError(f"{path}: {name}: {problem['msg']}; got {problem['input']!r}") from None
    return source
