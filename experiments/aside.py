"""Files that are written under a name of this attempt and renamed when whole: two writers never ruin each other's.

The name has the host and the process. What a process leaves that is no more is removed by the next one; what one that
lives is writing, or one on another host, never.
"""

import hashlib
import itertools
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def _digest(host: str) -> str:
    return hashlib.sha256(host.encode()).hexdigest()[:8]


_HOST = _digest(socket.gethostname())
_COUNT = itertools.count()
_ASIDE = re.compile(r"\..+\.([0-9a-f]{8})-(\d+)-\d+\.part(\.[^.]*)?")


def aside_of(path: Path) -> Path:
    """A name beside a path that nobody else writes to; it begins with a dot, so that readers of folders pass it by."""
    return path.with_name(f".{path.stem}.{_HOST}-{os.getpid()}-{next(_COUNT)}.part{path.suffix}")


def is_aside(name: str) -> bool:
    """Whether a file is one that is being written, or was."""
    return _ASIDE.fullmatch(name) is not None


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Where to write a file that is renamed to ``path`` when it is whole, and removed if it never is."""
    aside = aside_of(path)
    try:
        with naming(path):
            yield aside
            aside.replace(path)
    except BaseException:
        # Should that fail, what is said is why it came to this; the next command removes it.
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        raise


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Errors of the disk name the file: of one that is full, Arrow does not say which."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def keep_file(source: Path, path: Path) -> None:
    """A copy of a file, written aside, then renamed."""
    path.parent.mkdir(exist_ok=True)
    with written_aside(path) as aside:
        shutil.copyfile(source, aside)


def discard(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; a link, but not what it leads to. Nothing there is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_of(folder: Path, process: int, host: str | None = None) -> None:
    """What a process that has died was writing, in a folder and those in it; one of this host, or of another."""
    where = _HOST if host is None else _digest(host)
    _remove(folder, lambda host, pid: host == where and pid == process)


def remove_dead(folder: Path) -> None:
    """What processes of this host were writing that are no more."""
    _remove(folder, lambda host, pid: host == _HOST and not is_running(pid))


def remove_dead_folders(place: Path, name: str) -> None:
    """The folders of one name, as ``aside_of`` has it, that processes of this host have left that are no more."""
    for path in place.glob(f".{name}.*.part"):
        found = _ASIDE.fullmatch(path.name)
        if found and found[1] == _HOST and not is_running(int(found[2])):
            shutil.rmtree(path, ignore_errors=True)


def _remove(folder: Path, is_dead: Callable[[str, int], bool]) -> None:
    for path in [*folder.glob(".*.part*"), *folder.glob("*/.*.part*")]:
        found = _ASIDE.fullmatch(path.name)
        if found and is_dead(found[1], int(found[2])):
            path.unlink(missing_ok=True)


def is_running(pid: int) -> bool:
    """Whether there is such a process on this host."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # It is somebody else's.
        pass
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Whether it has ended and nobody has asked for its exit code, as in containers whose first process never does."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        # It has gone meanwhile, or this system says it elsewhere.
        return False
    # The state follows the name, which is in brackets and may hold some itself.
    return stat.rpartition(")")[2].split()[:1] == ["Z"]
