"""The first lines of a file, by which its format is told; nothing where it cannot be read."""

import json
from pathlib import Path
from typing import Any

from simulator.errors import InputError
from workloads.readers.files import BROKEN, open_binary

_MOST_BYTES = 1 << 18


def first_bytes(path: Path, n: int) -> bytes:
    """The first of a file, unpacked."""
    try:
        with open_binary(path) as file:
            return file.read(n)
    except (InputError, *BROKEN):
        # Reading it says what is the matter.
        return b""


def first_lines(path: Path, n: int = 1) -> list[str]:
    """The first lines that are not blank, at most ``n``; none if they are no text, or very long."""
    try:
        with open_binary(path) as file:
            start = file.read(1 << 13)
            while b"\n" not in start and len(start) < _MOST_BYTES and (more := file.read(1 << 16)):
                start += more
    except (InputError, *BROKEN):
        return []
    lines = start.split(b"\n")
    if len(start) >= 1 << 13:
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
    for line in first_lines(path):
        if line.startswith("{"):
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                return {}
            return record if isinstance(record, dict) else {}
    return {}
