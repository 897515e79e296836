"""Twins of the policies that look for the last two steps in a history of steps."""

from collections import deque
from collections.abc import Sequence
from itertools import pairwise

from policies.base import TablePolicy, sure
from policies.dcpt import DcptConfig
from policies.ghb import GhbConfig
from simulator.policy import Ahead
from tests.naive_policies.common import wrapped
from tests.naive_policies.table import Table


class Ghb(TablePolicy):
    """The buffer as the last entries of the trigger, numbered; an index entry has the number of its newest one."""

    def __init__(self, config: GhbConfig) -> None:
        super().__init__(config.trigger)
        self._config = config
        self.ahead = Ahead(of_stream=config.index == "stream")
        self._buffer: deque[tuple[int, int]] = deque(maxlen=config.entries)
        self._n_seen = 0
        self._index: Table[int, int] = Table(config.index_entries)

    def _of(self, stream: int) -> int:
        return stream if self._config.index == "stream" else 0

    def learn(self, key: int, stream: int, outcome: int) -> None:
        """A new entry, linked to the last one of its index."""
        newest = self._index.use(self._of(stream))
        self._buffer.append((key, -1 if newest is None else newest))
        self._index.put(self._of(stream), self._n_seen)
        self._n_seen += 1

    def _chain(self, stream: int) -> list[int]:
        """The keys of an index, newest first."""
        at = self._index.peek(self._of(stream))
        oldest = self._n_seen - len(self._buffer)
        keys: list[int] = []
        while at is not None and at >= oldest:
            key, at = self._buffer[at - oldest]
            keys.append(key)
        return keys

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        """Replay the deltas after the latest earlier place where the last two deltas stood together."""
        keys = self._chain(stream)
        deltas = [wrapped(a - b) for a, b in pairwise(keys)]
        for i in range(1, len(deltas) - 1):
            if deltas[i] == deltas[0] and deltas[i + 1] == deltas[1]:
                # deltas[i - 1] is what came next then. Where there is less than the degree, it goes round.
                following = deltas[i - 1 :: -1]
                wanted, at = [], key
                for j in range(self._config.degree):
                    at += following[j % len(following)]
                    wanted.append(at)
                return sure(wanted)
        return []


class _Line:
    __slots__ = ("deltas", "last", "last_prefetch")

    def __init__(self, key: int, n_deltas: int) -> None:
        self.last = key
        self.last_prefetch: int | None = None
        self.deltas: deque[int] = deque(maxlen=n_deltas)


class Dcpt(TablePolicy):
    """Last key, last prefetch and last deltas of each stream; a delta that does not fit its bits is written as 0."""

    def __init__(self, config: DcptConfig) -> None:
        super().__init__(config.trigger)
        self._config = config
        self._limit = 2 ** (config.delta_bits - 1)
        self._table: Table[int, _Line] = Table(config.entries)
        self._in_flight: deque[int] = deque(maxlen=config.in_flight)

    def learn(self, key: int, stream: int, outcome: int) -> None:
        """Append the delta."""
        line = self._table.use(stream)
        if line is None:
            self._table.put(stream, _Line(key, self._config.deltas))
            return
        delta = wrapped(key - line.last)
        if delta == 0:
            return
        line.deltas.append(delta if -self._limit <= delta < self._limit else 0)
        line.last = key

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        """Replay all deltas since the oldest pair that is alike; of these, what comes after the last prefetch."""
        line = self._table.peek(stream)
        if line is None or len(line.deltas) < 3:
            return []
        deltas = list(line.deltas)
        pair = deltas[-2:]
        candidates: list[int] = []
        for i in range(len(deltas) - 2):
            if deltas[i : i + 2] == pair and 0 not in pair:
                at = line.last
                for delta in deltas[i + 2 :]:
                    at += delta
                    candidates.append(at)
                    if at == line.last_prefetch:
                        candidates.clear()
                break
        wanted = []
        for candidate in candidates:
            if candidate not in self._in_flight:
                wanted.append(candidate)
                self._in_flight.append(candidate)
                line.last_prefetch = candidate
        return sure(wanted)
