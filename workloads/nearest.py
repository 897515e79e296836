"""For a file whose format nobody said and nothing tells: the format that comes nearest, and the command to try."""

from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from simulator.errors import InputError
from workloads.readers.files import open_binary
from workloads.readers.format import FormatSettings
from workloads.readers.ids import IdsConfig
from workloads.readers.peek import first_lines
from workloads.readers.record_table import RecordTable
from workloads.readers.row_format import RowFormat
from workloads.readers.tabular import TableConfig

_HEAD_BYTES = 4096
_COMMAND = "tierfetch trace head"
_LIKELY = {
    "key": "key obj_id object_id objid obj id cachekey block_id block lbn lba sector offset address addr item "
    "hash_ids block_hashes",
    "time_ns": "time timestamp ts op_time arrived_at time_s start arrival arrival_time start_time timestamp_ms time_ms",
    "size_bytes": "size obj_size length len bytes io_size objectsize object_size",
    "op": "op op_name operation opcode type iotype rw",
    "stream": "client client_id device device_id dev volume tenant thread tid",
}
"""What columns are mostly called, in the order in which they are looked for."""


def nearest(path: Path, known: dict[str, type[FormatSettings]], otherwise: str = "") -> str:
    """Which format reads the first rows of a file, or comes nearest and what does not fit; and the command.

    ``otherwise`` is what else might help where none reads a row.
    """
    with open_binary(path) as file:
        is_text = b"\0" not in file.read(_HEAD_BYTES)
    best: tuple[int, bool, str, str] | None = None
    for kind, settings in known.items():
        if not issubclass(settings, RowFormat | IdsConfig) or "columns" in settings.model_fields:
            continue
        n, problem = _tried(settings, kind, path, is_text=is_text)
        found = n, not problem, kind, problem
        # The first of those that read as much: the registry has the more particular ones in front.
        if n and (best is None or found[:2] > best[:2]):
            best = found
    if best is None:
        none = "no known format reads its first row (tierfetch trace formats lists them)"
        return f"{none}; {otherwise}" if otherwise else none
    n, is_whole, kind, problem = best
    command = f"{_COMMAND} {path} --format {kind}"
    if is_whole:
        return f"its first rows read as {kind}: {command}"
    return f"nearest is {kind}, which reads {n} row{'s' * (n > 1)} and then: {problem}: {command} --damaged stop"


def _tried(settings: type[FormatSettings], kind: str, path: Path, *, is_text: bool) -> tuple[int, str]:
    """How many accesses a format reads of the first piece of a file, and what was wrong then."""
    n = 0
    try:
        source: Any = settings.model_validate({"kind": kind, "path": str(path)})
        if is_text == (isinstance(source, RowFormat) and isinstance(source.table(), RecordTable)):
            return 0, ""
        # What is wrong in the first piece comes after what is good in it.
        for batch in islice(source.build(0).batches(), 2):
            n += len(batch)
    except (InputError, ValidationError) as error:
        return n, str(error).splitlines()[0]
    return n, ""


def by_number(path: Path) -> str:
    """The command that might read rows without names; nothing for what is no text of several fields a row."""
    line = next((line for line in first_lines(path) if not line.startswith("#")), "")
    between = "" if any(separator in line for separator in ",;|\t") else " --separator blank"
    if between and len(line.split()) < 2:
        return ""
    return f"as a table: {_COMMAND} {path} --no-header{between} --columns key=N, the number of a column from 1"


def guessed_columns(names: list[str]) -> dict[str, str]:
    """What columns may be, by what they are called: names by the roles that there is one for."""
    found = {role: _likely(role, names) for role in _LIKELY}
    return {role: name for role, name in found.items() if name is not None}


def likely_columns(path: Path, names: list[str]) -> str:
    """The command that might read a table, by what its columns are called; nothing if none looks like a key."""
    found = guessed_columns(names)
    if "key" not in found:
        return ""
    columns = ",".join(f"{role}={name}" for role, name in found.items())
    # Nothing tells the unit of a time: a guess would be right of most files, and nobody would look at the others.
    unit = " with --time-unit" if "time_ns" in found else ""
    return f"perhaps {_COMMAND} {path} --columns '{columns}'{unit}"


def unread_columns(source: TableConfig) -> list[str]:
    """A line for each column that by its name holds times, sizes or operations, where a table is read without these."""
    names = source.table().names()
    layout = source.columns_of(names)
    taken = {layout.time, layout.op, layout.repeat, *layout.key, *layout.size, *layout.stream, *layout.request}
    free = [name for name in names if name not in taken | set(layout.features.values())]
    lines = []
    for role, has in (("time_ns", layout.time), ("size_bytes", layout.size or source.size), ("op", layout.op)):
        column = _likely(role, free)
        if column is not None and not has and getattr(source.columns, role) is None:
            unit = " with --time-unit" if role == "time_ns" else ""
            lines.append(f"{source.path}: column {column!r} is not read; --columns {role}={column}{unit} reads it")
    return lines


def _likely(role: str, names: list[str]) -> str | None:
    low = {name.lower().replace(" ", "_"): name for name in reversed(names)}
    return next((low[word] for word in _LIKELY[role].split() if word in low), None)
