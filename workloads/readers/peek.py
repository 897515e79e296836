"""The start of a file, for those who tell its format by what is in it; nothing where it cannot be read."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from simulator.errors import InputError
from workloads.readers.files import BROKEN, open_binary
from workloads.readers.lines import LONGEST_LINE

_AT_ONCE = 1 << 13
_LONGEST = 1 << 16
_BOM = b"\xef\xbb\xbf"


def first_bytes(path: Path, n: int = 1 << 12) -> bytes:
    """The first of a file, unpacked."""
    return _start(path, n, 0)[0][:n]


def first_lines(path: Path, longest: int = _LONGEST) -> list[str]:
    """The whole lines at the start of a text that are not blank, without their ends.

    None of a file that is no text, or whose first line is longer than ``longest`` bytes.
    """
    start, is_all = _start(path, _AT_ONCE, longest)
    lines = start.removeprefix(_BOM).split(b"\n")
    if not is_all:
        # The last may go on.
        lines.pop()
    if any(b"\0" in line for line in lines):
        return []
    texts = [line.decode(errors="replace").rstrip("\r") for line in lines]
    return [text for text in texts if text.strip()]


def first_fields(path: Path, separator: str | None = ",") -> list[str]:
    """The fields of the first line, without what is blank around them; None: between blanks."""
    for line in first_lines(path):
        return [field.strip().strip('"') for field in line.split(separator)]
    return []


def first_record(path: Path) -> dict[str, Any]:
    """The first line as a JSON object; empty if it is none."""
    for line in first_lines(path, LONGEST_LINE):
        if line.lstrip().startswith("{"):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                return {}
            return record if isinstance(record, dict) else {}
    return {}


def _start(path: Path, n: int, longest: int) -> tuple[bytes, bool]:
    """At least ``n`` bytes of a file, if it has them, and up to ``longest`` until a line ends; whether that is all."""
    try:
        about = path.stat()
    except OSError:
        return b"", True
    return _read(path, about.st_mtime_ns, about.st_size, n, longest)


# Every format asks in turn.
@lru_cache(maxsize=8)
def _read(path: Path, modified_ns: int, size: int, n: int, longest: int) -> tuple[bytes, bool]:
    start = b""
    try:
        with open_binary(path) as file:
            # What is packed may come in small parts.
            while len(start) < n or (len(start) < longest and b"\n" not in start.strip()):
                more = file.read(_AT_ONCE)
                if not more:
                    return start, True
                start += more
    except (InputError, *BROKEN):
        return b"", True
    return start, False
