"""A file or a device past the kernel's cache (O_DIRECT): one that is there is only ever read."""

import errno
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.report import bytes_text
from live.file_systems import ALIGNMENT, IN_MEMORY, file_system_of
from simulator.errors import InputError

if TYPE_CHECKING:
    from experiments.calibration.places import Buffer

_PIECE = 1 << 20
_ROOM_LEFT = 64 << 20


class DirectFile:
    """``path`` is what to read; a folder or a name that is free: a scratch file there, of ``scratch_bytes``.

    A scratch file has no name from its first moment on, so that nothing is left of it however the command ends.
    ``told`` hears of its making, which takes a while.

    Raises:
        InputError: the path is none of these, too small, in memory, or not to be opened so; or the disk has no room.
    """

    def __init__(self, path: Path, scratch_bytes: int, least_bytes: int, told: Callable[[str], None]) -> None:
        self._where = f"--tiers file:{path}"
        direct = getattr(os, "O_DIRECT", None)
        if direct is None:
            raise InputError(f"{self._where}: this system cannot read past its cache (O_DIRECT); expected Linux")
        self.path, self.is_scratch = path, not path.exists() or path.is_dir()
        self.can_write = self.is_scratch
        mode = 0 if self.is_scratch else path.stat().st_mode
        if not (self.is_scratch or stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            raise InputError(f"{self._where}: expected a file, a block device, a folder, or a name that is free")
        # Names of devices lie in memory, too.
        if not stat.S_ISBLK(mode) and (kind := file_system_of(path)) in IN_MEMORY:
            raise InputError(f"{self._where}: lies in memory ({kind}); expected a file, folder or device of a disk")
        if self.is_scratch:
            self._make(direct, scratch_bytes, told)
            return
        self._file = self._opened(os.O_RDONLY | direct, path)
        self.n_bytes = os.lseek(self._file, 0, os.SEEK_END) // ALIGNMENT * ALIGNMENT
        if self.n_bytes < least_bytes:
            self.close()
            raise InputError(
                f"{self._where}: has {bytes_text(self.n_bytes)}; expected {bytes_text(least_bytes)} or more, so that "
                "places in it can be random"
            )

    def _make(self, direct: int, n_bytes: int, told: Callable[[str], None]) -> None:
        from experiments.aside import aside_of, naming
        from experiments.calibration.places import buffer_of

        folder = self.path if self.path.is_dir() else self.path.parent
        if not folder.is_dir():
            raise InputError(f"{self._where}: no such folder: {folder}; expected one that is there")
        self.n_bytes = n_bytes // ALIGNMENT * ALIGNMENT
        there = os.statvfs(folder)
        if there.f_bavail * there.f_frsize < self.n_bytes + _ROOM_LEFT:
            raise InputError(
                f"{self._where}: the scratch file takes {bytes_text(self.n_bytes)}, and "
                f"{bytes_text(there.f_bavail * there.f_frsize)} are free; expected {bytes_text(_ROOM_LEFT)} more than "
                "it takes, or a smaller --scratch"
            )
        name = aside_of(folder / "calibrate.scratch") if self.path.is_dir() else self.path
        self._file = self._opened(os.O_RDWR | os.O_CREAT | os.O_EXCL | direct, name)
        try:
            name.unlink()
            told(f"writing a scratch file of {bytes_text(self.n_bytes)} in {folder}")
            piece = buffer_of(_PIECE)
            for at in range(0, self.n_bytes, _PIECE):
                # Random, as a device may store nothing for zeros, and what was never written is not read from it.
                part = piece[: min(_PIECE, self.n_bytes - at)]
                part[:] = memoryview(os.urandom(len(part)))
                with naming(folder):
                    self.write_from(part, at)
            os.fsync(self._file)
        except BaseException:
            self.close()
            raise

    def _opened(self, flags: int, path: Path) -> int:
        try:
            return os.open(path, flags, 0o600)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            if flags & os.O_CREAT:
                # Linux makes the file before it finds that it cannot be opened so.
                path.unlink(missing_ok=True)
            raise InputError(
                f"{self._where}: its file system ({file_system_of(path)}) cannot be read past the kernel's cache "
                "(O_DIRECT); expected one on a disk, such as ext4 or xfs"
            ) from None

    def read_into(self, buffer: "Buffer", at: int) -> None:
        """Raises OSError if it is not read whole."""
        if os.preadv(self._file, [buffer.data], at) != len(buffer):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(self.path))

    def write_from(self, buffer: "Buffer", at: int) -> None:
        """Raises OSError if it is not written whole."""
        if os.pwritev(self._file, [buffer.data], at) != len(buffer):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))

    def close(self) -> None:
        """A scratch file is gone."""
        os.close(self._file)


def disk_of(path: Path, root: Path = Path("/")) -> dict[str, str | None]:
    """Facts on what a path lies on: file system, device, its model, whether it turns, its scheduler."""
    kind = file_system_of(path)
    try:
        found = path.stat() if path.exists() else path.parent.stat()
        number = found.st_rdev if stat.S_ISBLK(found.st_mode) else found.st_dev
        device = (root / f"sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
    except OSError:
        return {"file_system": kind}
    # A partition's folder lies in that of its disk.
    disk = device if (device / "queue").is_dir() else device.parent
    return {
        "file_system": kind,
        "device": device.name if device.is_dir() else None,
        "model": _text(disk / "device/model"),
        "rotational": _text(disk / "queue/rotational"),
        "scheduler": _chosen(_text(disk / "queue/scheduler")),
    }


def _chosen(text: str | None) -> str | None:
    """Of several in a row, as Linux lists them, the one in brackets."""
    found = re.search(r"\[(.+)\]", text or "")
    return found[1] if found else text


def _text(file: Path) -> str | None:
    try:
        return file.read_text(errors="replace").strip() or None
    except OSError:
        return None
