"""A file system that fails, inside this process: what happens at the n-th thing that is done to files of a folder."""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ERRNOS = (errno.ENOSPC, errno.EACCES, errno.EIO, errno.EROFS, errno.EMFILE, errno.EDQUOT)
_EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.scandir", "os.listdir"}


@dataclass
class _Watch:
    below: str
    at: int
    act: Callable[[str, str], None]
    lasts: bool
    n: int = 0
    removals: list[str] = field(default_factory=list)
    """What was to be removed by an operation at which something was done."""


_watches: list[_Watch] = []
"""The one that there is now, if any."""
_installed: list[bool] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watches or event not in _EVENTS or not arguments or not isinstance(arguments[0], str | bytes):
        return
    path = os.fsdecode(arguments[0])
    if not path.startswith(_watches[0].below):
        return
    watch = _watches[0]
    watch.n += 1
    if watch.n == watch.at or (watch.lasts and watch.n > watch.at):
        # What is done here is not looked at itself.
        _watches.clear()
        if event == "os.remove":
            watch.removals.append(path)
        try:
            watch.act(event, path)
        finally:
            _watches.append(watch)


@contextmanager
def at_operation(
    folder: Path, number: int, act: Callable[[str, str], None], *, lasts: bool = False
) -> Iterator[_Watch]:
    """At an operation on a path below a folder, counted from 1, ``act``; with ``lasts`` at all after it, too.

    What ``act`` raises is raised by the operation. Operations are those of Python, which are all but Arrow's writes.
    """
    if not _installed:
        # For the rest of the process: such a hook cannot be removed.
        sys.addaudithook(_hook)
        _installed.append(True)
    watch = _Watch(str(folder), number, act, lasts)
    _watches[:] = [watch]
    try:
        yield watch
    finally:
        _watches.clear()


def fails(number: int) -> Callable[[str, str], None]:
    """An operation that fails as the system would say it."""

    def act(_: str, path: str) -> None:
        raise OSError(number, os.strerror(number), path)

    return act


def raises(error: type[BaseException]) -> Callable[[str, str], None]:
    """An operation at which an error comes that is no fault of its own."""

    def act(_: str, path: str) -> None:
        raise error

    return act
