"""Global history buffer with delta correlation: what followed the last two steps when they came before.

Nesbit & Smith, "Data Cache Prefetching Using a Global History Buffer", HPCA 2004: G/DC (one history) and PC/DC, with
the stream in the place of the instruction. The buffer is a FIFO; entries of one index are linked, and only links to
entries that are still in the buffer are followed.
"""

from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from policies.base import Degree, PolicySettings, TablePolicy, TriggerName, sure
from policies.given import Built, Given
from policies.table import Table
from simulator.config import Count
from simulator.policy import Ahead


class GhbConfig(PolicySettings):
    """What followed the last two steps when they came before, globally or by stream (Nesbit & Smith 2004)."""

    kind: Literal["ghb"]
    index: Literal["global", "stream"] = "stream"
    entries: Count = 256
    index_entries: Count = 256
    degree: Degree = 4
    trigger: TriggerName = "tagged"

    def build(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(GhbPolicy(self))


class GhbPolicy(TablePolicy):
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
        deltas = [a - b for a, b in pairwise(keys)]
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
