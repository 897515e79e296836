"""Reads and writes at places of a file, past the kernel's cache where that goes, as often as it takes."""

import errno
import os
import threading
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from live.buffers import Bytes8, aligned
from live.file_systems import ALIGNMENT, IN_MEMORY, file_system_of
from simulator.errors import InputError


class Calls(Protocol):
    """The calls of ``os`` that a file is read and written with; ``live.faults`` has some that fail."""

    def preadv(self, fd: int, buffers: list[Any], offset: int, /) -> int:
        """As ``os.preadv``."""
        ...

    def pwritev(self, fd: int, buffers: list[Any], offset: int, /) -> int:
        """As ``os.pwritev``."""
        ...

    def fdatasync(self, fd: int, /) -> None:
        """As ``os.fdatasync``."""
        ...


class FileIO:
    """A file whose blocks are read and written with headers.

    ``is_direct`` says whether that goes past the kernel's cache (O_DIRECT), and ``why_not`` why it does not.
    """

    def __init__(self, path: Path, block: int, direct: bool | None, calls: Calls | None) -> None:
        self._block, self._calls = block, calls or os
        self._of_thread = threading.local()
        self.is_direct, self.why_not = direct is not False, "" if direct is not False else "as was asked for"
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            self.fd = self._open(path, flags, direct)
        except OSError as error:
            raise InputError(f"{path}: cannot be opened: {error.strerror}; expected a file to keep blocks in") from None

    def _open(self, path: Path, flags: int, direct: bool | None) -> int:
        if direct is not False and (kind := file_system_of(path)) in IN_MEMORY:
            if direct:
                raise InputError(f"{path}: lies in memory ({kind}); expected a file on a disk")
            direct, self.is_direct, self.why_not = False, False, f"lies in memory ({kind})"
        if direct is False:
            return os.open(path, flags, 0o600)
        try:
            return os.open(path, flags | getattr(os, "O_DIRECT", 0), 0o600)
        except OSError as error:
            # Some file systems refuse it, among them older kernels' tmpfs.
            if direct or error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
            self.is_direct, self.why_not = False, f"the file system refuses O_DIRECT: {error.strerror}"
            return os.open(path, flags, 0o600)

    def page(self) -> Bytes8:
        """A header's place in memory, of the thread that asks."""
        return self.scratch("page", ALIGNMENT)

    def scratch(self, name: str, n_bytes: int) -> Bytes8:
        """Aligned memory of the thread that asks, the same one each time."""
        found: Bytes8 | None = getattr(self._of_thread, name, None)
        if found is None:
            found = aligned(n_bytes)
            setattr(self._of_thread, name, found)
        return found

    def read(self, offset: int, into: Bytes8) -> bool:
        """A header into ``page``, and a block; False if the file ends before. Raises OSError."""
        block = self._aligned(into)
        is_there = self._whole(self._calls.preadv, [self.page(), block], offset)
        if block is not into:
            np.copyto(into, block)
        return is_there

    def write(self, offset: int, data: Bytes8) -> None:
        """What ``page`` has, and a block. Raises OSError."""
        block = self._aligned(data)
        if block is not data:
            np.copyto(block, data)
        if not self._whole(self._calls.pwritev, [self.page(), block], offset):
            raise OSError(errno.EIO, "nothing was written")

    def read_page(self, offset: int) -> bytes | None:
        """A header alone; None if the file ends before."""
        return self.page().tobytes() if self._whole(self._calls.preadv, [self.page()], offset) else None

    def write_page(self, offset: int, data: bytes) -> None:
        """The same."""
        self.page()[:] = np.frombuffer(data, np.uint8)
        self._whole(self._calls.pwritev, [self.page()], offset)

    def flush(self) -> None:
        """What was written stays when the machine stops. Raises OSError."""
        self._calls.fdatasync(self.fd)

    def _aligned(self, block: Bytes8) -> Bytes8:
        if not self.is_direct or block.ctypes.data % ALIGNMENT == 0:
            return block
        return self.scratch("block", self._block)

    def _whole(self, call: Any, buffers: list[Bytes8], offset: int) -> bool:
        """Call until all bytes are through; False if the file ends before. A call may do less than it is asked for."""
        done, n_bytes = 0, sum(map(len, buffers))
        while done < n_bytes:
            rest, skip = [], done
            for buffer in buffers:
                if skip < len(buffer):
                    rest.append(buffer[skip:] if skip else buffer)
                skip = max(skip - len(buffer), 0)
            n = call(self.fd, rest, offset + done)
            if n == 0:
                return False
            # O_DIRECT goes on at whole pages alone.
            done += n if not self.is_direct or done + n == n_bytes else n // ALIGNMENT * ALIGNMENT
        return True
