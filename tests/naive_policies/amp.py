"""AMP: for each sequential stream how much to prefetch, and how early, both learned.

Gill & Bathen, "AMP: Adaptive Multi-stream Prefetching in a Shared Cache", FAST 2007. The degree p grows by a block
when the last of a batch is used, and shrinks by one when a block of the stream is evicted unused. While p is at most
``asynchronous_above``, a batch is asked for when the one before is used up; above, when g blocks of it are left. The
trigger distance g begins at half of that, grows when a block comes late, and follows p down. Streams are told apart by
their keys, whoever asks; the paper keeps p and g in the cache's pages, here a table has the streams used last. Leaves
out the second round that the paper grants unused blocks in the cache.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from policies.base import Degree, PolicySettings, TablePolicy, TriggerName, sure
from policies.given import Built, Given
from policies.table import Table
from simulator.config import Count
from simulator.policy import Ahead, Fate, Told


class AmpConfig(PolicySettings):
    """Sequential streams, each with a degree and a trigger distance of its own (Gill & Bathen 2007)."""

    kind: Literal["amp"]
    streams: Count = 64
    run: Annotated[int, Field(ge=1, le=64)] = 2
    degree: Degree = 1
    asynchronous_above: Count = 4
    max_degree: Degree = 256
    trigger: TriggerName = "access"

    def build(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(AmpPolicy(self))


class _Stream:
    """The last block used and the last prefetched, the ends of the batches that are not used up, and p and g."""

    __slots__ = ("ahead", "degree", "distance", "ends", "last", "run")

    def __init__(self, key: int, degree: int) -> None:
        self.last = self.ahead = key
        self.ends: list[int] = []
        self.run = 1
        self.degree = degree
        self.distance = 0


class AmpPolicy(TablePolicy):
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
