"""Faults on purpose, for tests and trials: a disk that fails, is slow or full, or does half of what it should."""

import errno
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from live.buffers import Bytes8
from live.store import Store

Fault = Callable[[str, int, Any], None]
"""Told of each call (``read``, ``write`` or ``flush``), which one of its kind it is, and what it is about; raises what
is to go wrong, or sleeps."""


def every(n: int, *kinds: str, number: int = errno.EIO) -> Fault:
    """Of these kinds of calls every n-th fails."""

    def fault(kind: str, count: int, about: Any) -> None:
        if kind in kinds and count % n == n - 1:
            raise OSError(number, os.strerror(number))

    return fault


def slow(seconds: float, *kinds: str) -> Fault:
    """These kinds of calls take so much longer."""

    def fault(kind: str, count: int, about: Any) -> None:
        if kind in kinds:
            time.sleep(seconds)

    return fault


class _Faulty:
    def __init__(self, *faults: Fault) -> None:
        self.faults = list(faults)
        self._lock = threading.Lock()
        self._counts = {"read": 0, "write": 0, "flush": 0}

    def _meet(self, kind: str, about: Any) -> None:
        with self._lock:
            count = self._counts[kind]
            self._counts[kind] += 1
        for fault in list(self.faults):
            fault(kind, count, about)


class FaultyStore(_Faulty):
    """A store before which faults stand; ``faults`` may be changed at any time."""

    def __init__(self, store: Store, *faults: Fault) -> None:
        super().__init__(*faults)
        self.store, self.block = store, store.block

    def holds(self, key: int) -> bool:
        """Whether it has a block."""
        return self.store.holds(key)

    def read(self, key: int, into: Bytes8) -> None:
        """Fill ``into``, unless that fails."""
        self._meet("read", key)
        self.store.read(key, into)

    def write(self, key: int, data: Bytes8) -> None:
        """Write a block, unless that fails."""
        self._meet("write", key)
        self.store.write(key, data)

    def flush(self) -> None:
        """What was written stays, unless that fails."""
        self._meet("flush", None)
        self.store.flush()

    def close(self) -> None:
        """Never fails."""
        self.store.close()


class FaultyCalls(_Faulty):
    """In the place of ``os`` under a ``FileStore``: the kernel's own calls fail, or do a part of what they should.

    ``short`` is the most bytes that a call moves, ``room`` where the disk is full, in bytes from the file's start.
    """

    def __init__(self, *faults: Fault, short: int | None = None, room: int | None = None) -> None:
        super().__init__(*faults)
        self.short, self.room = short, room

    def preadv(self, fd: int, buffers: list[Any], offset: int, /) -> int:
        """As ``os.preadv``."""
        self._meet("read", offset)
        return os.preadv(fd, self._some(buffers, self.short), offset)

    def pwritev(self, fd: int, buffers: list[Any], offset: int, /) -> int:
        """As ``os.pwritev``."""
        self._meet("write", offset)
        most = self.short
        if self.room is not None and offset + sum(map(len, buffers)) > self.room:
            most = min(most or self.room, self.room - offset)
            if most <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.pwritev(fd, self._some(buffers, most), offset)

    def fdatasync(self, fd: int, /) -> None:
        """As ``os.fdatasync``."""
        self._meet("flush", fd)
        os.fdatasync(fd)

    def _some(self, buffers: list[Any], most: int | None) -> list[Any]:
        """The first so many bytes of buffers."""
        some = []
        for buffer in buffers:
            taken = buffer if most is None else buffer[:most]
            most = None if most is None else most - len(taken)
            some.append(taken)
            if most == 0:
                break
        return some
