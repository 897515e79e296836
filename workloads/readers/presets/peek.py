"""The first lines of a file, by which its format is told; nothing where it cannot be read."""

import json
from pathlib import Path
from typing import Any

from simulator.errors import InputError
from workloads.readers.files import BROKEN, open_binary
from workloads.readers.lines import LONGEST_LINE

_AT_ONCE = 1 << 13


def first_bytes(path: Path, n: int) -> bytes:
    """The first of a file, unpacked."""
    try:
        with open_binary(path) as file:
            return file.read(n)
    except (InputError, *BROKEN):
        # Reading it says what is the matter.
        return b""


def first_lines(path: Path, n: int = 1, longest: int = 1 << 16) -> list[str]:
    """The first lines that are not blank, at most ``n``; none if they are no text, or longer than ``longest`` bytes."""
    start, is_all = b"", False
    try:
        with open_binary(path) as file:
            # What is packed may come in small parts.
            while not is_all and len(start) < longest and b"\0" not in start:
                if len(start) >= _AT_ONCE and b"\n" in start:
                    break
                more = file.read(_AT_ONCE)
                start, is_all = start + more, not more
    except (InputError, *BROKEN):
        return []
    lines = start.split(b"\n")
    if not is_all:
        # The last may go on.
        lines.pop()
    try:
        texts = [line.decode("utf-8-sig").strip() for line in lines[: 10 * n]]
    except UnicodeDecodeError:
        return []
    return [text for text in texts if text and "\0" not in text][:n]


def first_fields(path: Path, separator: str | None = ",") -> list[str]:
    """The fields of the first line, without what is blank around them; None: between blanks."""
    for line in first_lines(path):
        return [field.strip().strip('"') for field in line.split(separator)]
    return []


def first_record(path: Path) -> dict[str, Any]:
    """The first line as a JSON object; empty if it is none."""
    for line in first_lines(path, longest=LONGEST_LINE):
        if line.startswith("{"):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                return {}
            return record if isinstance(record, dict) else {}
    return {}
