"""Linux readahead: a window that grows while a file is read in order, with a marker that asks for the next one early.

The on-demand algorithm of Linux (``mm/readahead.c``; Wu et al., "On the Design of a New Linux Readahead Framework",
ACM OSR 2008), one read of one page at a time. A stream stands for a file. Leaves out mmap read-around, the history
that Linux looks up in the page cache, and the feedback of a device that is busy.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from policies.base import PolicySettings, TablePolicy, TriggerName, sure
from policies.given import Built, Given
from policies.table import Table
from simulator.config import Count
from simulator.policy import Outcome


class LinuxReadaheadConfig(PolicySettings):
    """A window ahead of a sequential reader, doubled at a marker inside it (Linux)."""

    kind: Literal["linux_readahead"]
    max_blocks: Annotated[int, Field(ge=2, le=2**20)] = 32
    files: Count = 1024
    trigger: TriggerName = "access"

    def build(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(LinuxReadaheadPolicy(self))


def first_window(request: int, most: int) -> int:
    """Blocks of the first window for a request of so many."""
    size = 1 << (request - 1).bit_length()
    if size <= most // 32:
        return size * 4
    if size <= most // 4:
        return size * 2
    return most


def next_window(size: int, most: int) -> int:
    """Blocks of the window after one of ``size``."""
    if size < most // 16:
        return size * 4
    if size <= most // 2:
        return size * 2
    return most


class _File:
    """The last block read, and the window: where it starts, its size, and the marker in it."""

    __slots__ = ("marker", "previous", "size", "start")

    def __init__(self) -> None:
        self.previous: int | None = None
        self.start = self.size = 0
        self.marker: int | None = None


class LinuxReadaheadPolicy(TablePolicy):
    """A window for each file."""

    def __init__(self, config: LinuxReadaheadConfig) -> None:
        super().__init__(config.trigger)
        self._most = config.max_blocks
        self._files: Table[int, _File] = Table(config.files)
        self._wanted: range = range(0)

    def learn(self, key: int, stream: int, outcome: int) -> None:
        """The marker, or a miss at the window's end, asks for the next window; a sequential miss begins one."""
        file = self._files.use(stream)
        if file is None:
            file = _File()
            self._files.put(stream, file)
        previous, file.previous = file.previous, key
        self._wanted = range(0)
        end = file.start + file.size
        is_miss = outcome == Outcome.MISS
        if key == file.marker or (is_miss and file.size and key == end):
            file.start, file.size = end, next_window(file.size, self._most)
            file.marker = file.start
            self._wanted = range(file.start, file.start + file.size)
        elif is_miss and (key == 0 or (previous is not None and key - previous in (0, 1))):
            # The window has the block that was read as its first; the marker is the first after what was asked for.
            file.start, file.size = key, first_window(1, self._most)
            file.marker = key + 1 if file.size > 1 else key
            self._wanted = range(key + 1, key + file.size)

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        """The blocks of the new window."""
        return sure(self._wanted)
