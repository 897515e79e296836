"""Linux readahead: a window that grows while a file is read in order, with a marker that asks for the next one early.

The on-demand algorithm of Linux (``mm/readahead.c``; Wu et al., "On the Design of a New Linux Readahead Framework",
ACM OSR 2008), one read of one page at a time. A stream stands for a file. Leaves out mmap read-around, the history
that Linux looks up in the page cache, and the feedback of a device that is busy.
"""

from typing import Annotated, Literal

from pydantic import Field

from policies import rows
from policies.base import CompiledPolicy, TableSettings, TriggerName
from policies.given import Built, Given
from policies.keys import behind, crossing, gap
from policies.rows import FIELDS
from simulator.answers import Floats
from simulator.arrays import Ints, plus
from simulator.compiled import internal
from simulator.config import Count
from simulator.policy import Outcome


class LinuxReadaheadConfig(TableSettings):
    """A window ahead of a sequential reader, doubled at a marker inside it (Linux)."""

    kind: Literal["linux_readahead"]
    max_blocks: Annotated[int, Field(ge=2, le=2**20)] = 32
    """The largest window, in blocks."""
    files: Count = 1024
    """Streams, which stand for files, remembered."""
    trigger: TriggerName = "access"
    """When it is asked: at every `access`, at a `miss`, or `tagged`: at misses and first uses of prefetched blocks."""

    def fresh(self, given: Given) -> Built:
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


@internal
def next_window(size: int, most: int) -> int:
    """Blocks of the window after one of ``size``."""
    if size < most // 16:
        return size * 4
    if size <= most // 2:
        return size * 2
    return most


# The state: settings, the blocks wanted now (the one before them, how many), then the files. A file has whether it was
# read before and its last block, and the window: where it starts, its size or 0, and how far in the marker is.
_MOST, _FIRST, _BEFORE, _COUNT, _FILES = range(5)
_WAS_READ, _PREVIOUS, _START, _SIZE, _MARKER = range(FIELDS, FIELDS + 5)
_MISS = int(Outcome.MISS)


def _learn(state: Ints, key: int, stream: int, outcome: int) -> None:
    """The marker, or a miss at the window's end, asks for the next window; a sequential miss begins one."""
    file = rows.put(state, _FILES, stream)
    step = gap(key, state[file + _PREVIOUS])
    follows = state[file + _WAS_READ] != 0 and 0 <= step <= 1
    state[file + _WAS_READ], state[file + _PREVIOUS] = 1, key
    state[_COUNT] = 0
    start, size = state[file + _START], state[file + _SIZE]
    place = gap(key, start)
    if size != 0 and (place == state[file + _MARKER] or (outcome == _MISS and place == size)):
        if crossing(start, size) != 0:
            # The next window would begin behind the last key.
            state[file + _SIZE] = 0
            return
        state[_COUNT] = next_window(size, state[_MOST])
        state[file + _START], state[file + _SIZE], state[file + _MARKER] = plus(start, size), state[_COUNT], 0
        state[_BEFORE] = plus(start, size - 1)
    elif outcome == _MISS and (key == 0 or follows):
        # The window has the block that was read as its first; the marker is the first after what was asked for.
        state[file + _START], state[file + _SIZE], state[file + _MARKER] = (
            key,
            state[_FIRST],
            1 if state[_FIRST] > 1 else 0,
        )
        state[_BEFORE], state[_COUNT] = key, state[_FIRST] - 1


def _want(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """The blocks of the new window."""
    return behind(keys, confidences, state[_BEFORE], 0, state[_COUNT])


class LinuxReadaheadPolicy(CompiledPolicy):
    """A window for each file."""

    def __init__(self, config: LinuxReadaheadConfig) -> None:
        state = rows.state(_FILES + rows.words(config.files, 5))
        state[_MOST], state[_FIRST] = config.max_blocks, first_window(1, config.max_blocks)
        rows.setup(state, _FILES, config.files, 5)
        super().__init__(config.trigger, state, _learn, _want, most_wanted=config.max_blocks)
