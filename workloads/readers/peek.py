"""The start of a file, for those who tell its format by what is in it."""

from functools import lru_cache
from pathlib import Path

from simulator.errors import InputError
from workloads.readers.files import BROKEN, open_binary

_BYTES = 1 << 12


def first_bytes(path: Path) -> bytes:
    """The first 4 KiB of a file, unpacked; fewer of a short one, none of one that cannot be read."""
    try:
        about = path.stat()
    except OSError:
        return b""
    return _read(path, about.st_mtime_ns, about.st_size)


# Every format asks in turn.
@lru_cache(maxsize=4)
def _read(path: Path, modified_ns: int, size: int) -> bytes:
    try:
        with open_binary(path) as file:
            return file.read(_BYTES)
    except (InputError, *BROKEN):
        return b""


def first_lines(path: Path) -> list[str]:
    """The whole lines at the start of a text that are not blank, without their ends; none of a file that is no text."""
    start = first_bytes(path)
    if b"\0" in start:
        return []
    lines = start.removeprefix(b"\xef\xbb\xbf").decode(errors="replace").split("\n")
    if len(start) == _BYTES and len(lines) > 1:
        lines.pop()
    return [line.rstrip("\r") for line in lines if line.strip()]
