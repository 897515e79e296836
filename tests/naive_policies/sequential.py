"""Twins of the policies that follow runs of consecutive blocks."""

from collections.abc import Sequence

from policies.amp import AmpConfig
from policies.base import TablePolicy, sure
from policies.linux_readahead import LinuxReadaheadConfig
from policies.obl import OblConfig
from policies.stream_buffers import StreamBuffersConfig
from simulator.policy import Ahead, Fate, Outcome, Told
from tests.naive_policies.table import Table


class Obl(TablePolicy):
    """Counts the consecutive accesses of each stream."""

    def __init__(self, config: OblConfig) -> None:
        super().__init__(config.trigger)
        self._run = config.run
        self._last: Table[int, tuple[int, int]] = Table(config.streams)

    def learn(self, key: int, stream: int, outcome: int) -> None:
        """A step to the next block makes the run longer, one to any other ends it; none is no step."""
        last, steps = self._last.use(stream) or (None, 0)
        if key != last:
            self._last.put(stream, (key, steps + 1 if last is not None and key == last + 1 else 0))

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        """The next block after enough steps."""
        last, steps = self._last.peek(stream) or (-1, 0)
        return sure([last + 1]) if steps >= self._run else []


class StreamBuffers(TablePolicy):
    """Each buffer holds the keys from its head to its tail; they are known by a number."""

    def __init__(self, config: StreamBuffersConfig) -> None:
        super().__init__(config.trigger)
        self._depth = config.depth
        self._buffers: Table[int, tuple[int, int]] = Table(config.buffers)
        self._n_made = 0
        self._wanted: range = range(0)

    def learn(self, key: int, stream: int, outcome: int) -> None:
        """A key that a buffer holds moves its head behind it; any other gets a buffer of its own."""
        for number, (head, tail) in self._buffers.items():
            if head <= key <= tail:
                self._wanted = range(tail + 1, key + self._depth + 1)
                self._buffers.put(number, (key + 1, key + self._depth))
                return
        self._wanted = range(key + 1, key + self._depth + 1)
        self._buffers.put(self._n_made, (key + 1, key + self._depth))
        self._n_made += 1

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        """What was put into the buffer just now."""
        return sure(self._wanted)


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


class LinuxReadahead(TablePolicy):
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


class _Stream:
    """The last block used and the last prefetched, the ends of the batches that are not used up, and p and g."""

    __slots__ = ("ahead", "degree", "distance", "ends", "last", "run")

    def __init__(self, key: int, degree: int) -> None:
        self.last = self.ahead = key
        self.ends: list[int] = []
        self.run = 1
        self.degree = degree
        self.distance = 0


class Amp(TablePolicy):
    """Streams by number; ``_next`` finds the one that a key goes on with, ``_owner`` the one that prefetched it."""

    ahead = Ahead(of_stream=False)

    def __init__(self, config: AmpConfig) -> None:
        super().__init__(config.trigger)
        self._config = config
        self._streams: Table[int, _Stream] = Table(config.streams)
        self._n_made = 0
        self._wanted: range = range(0)

    def _find(self, key: int) -> tuple[int, _Stream] | None:
        """The stream that the key is next in, or was prefetched for."""
        for number, stream in self._streams.items():
            if stream.last < key <= max(stream.ahead, stream.last + 1):
                return number, stream
        return None

    def learn(self, key: int, stream: int, outcome: int) -> None:
        """Go on with the key's stream, or begin one."""
        self._wanted = range(0)
        found = self._find(key)
        if found is None:
            if not any(s.last == key for s in self._streams.values()):
                self._streams.put(self._n_made, _Stream(key, self._config.degree))
                self._n_made += 1
            return
        number, of_key = found
        self._streams.use(number)
        of_key.last = key
        of_key.ahead = max(of_key.ahead, key)
        of_key.run += 1
        if key in of_key.ends or of_key.run == self._config.run:
            of_key.degree = min(of_key.degree + 1, self._config.max_degree)
            if of_key.degree > self._config.asynchronous_above and of_key.distance == 0:
                of_key.distance = self._config.asynchronous_above // 2
        of_key.ends = [end for end in of_key.ends if end > key]
        if of_key.run >= self._config.run and of_key.ahead - key <= of_key.distance:
            self._wanted = range(of_key.ahead + 1, of_key.ahead + 1 + of_key.degree)
            of_key.ahead += of_key.degree
            of_key.ends.append(of_key.ahead)

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        """The next batch of the key's stream, if it is time."""
        return sure(self._wanted)

    def told(self, told: Told) -> None:
        """Late: ask earlier. Evicted unused: ask for less."""
        for key, fate in zip(told.keys, told.fates, strict=True):
            if fate not in (Fate.LATE, Fate.EVICTED_UNUSED):
                continue
            for stream in self._streams.values():
                if stream.ahead - 2 * self._config.max_degree < key <= stream.ahead:
                    if fate == Fate.LATE:
                        stream.distance = min(stream.distance + 1, stream.degree - 1)
                    else:
                        stream.degree = max(stream.degree - 1, 1)
                        stream.distance = min(stream.distance, stream.degree - 1)
                    break
