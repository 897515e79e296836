"""Irregular stream buffer: blocks that follow each other in a stream get neighbouring structural addresses.

Jain & Lin, "Linearizing Irregular Memory Accesses for Improved Correlated Prefetching", MICRO 2013. A stream stands
where the paper has the instruction. Both maps are one table with a bound in place of on-chip caches that follow the
TLB.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from policies.base import Degree, PolicySettings, TablePolicy, TriggerName, sure
from policies.given import Built, Given
from policies.table import Table
from simulator.config import Count


class IsbConfig(PolicySettings):
    """The next blocks in an order learned from the stream, however scattered (Jain & Lin 2013)."""

    kind: Literal["isb"]
    chunk: Annotated[int, Field(ge=2, le=2**20)] = 256
    counter_bits: Annotated[int, Field(ge=1, le=16)] = 2
    degree: Degree = 4
    entries: Count = 65536
    streams: Count = 1024
    trigger: TriggerName = "tagged"

    def build(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(IsbPolicy(self))


class IsbPolicy(TablePolicy):
    """Structural address and confidence of each key, and the way back."""

    def __init__(self, config: IsbConfig) -> None:
        super().__init__(config.trigger)
        self._config = config
        self._most = 2**config.counter_bits - 1
        self._place: Table[int, tuple[int, int]] = Table(config.entries)
        self._key_at: dict[int, int] = {}
        self._last: Table[int, int] = Table(config.streams)
        self._next_chunk = 0

    def _put(self, key: int, place: int, confidence: int) -> None:
        old = self._place.peek(key)
        if old is not None and self._key_at.get(old[0]) == key:
            del self._key_at[old[0]]
        taken = self._key_at.get(place)
        if taken is not None and taken != key:
            self._place.pop(taken)
        gone = self._place.put(key, (place, confidence))
        if gone is not None and self._key_at.get(gone[1][0]) == gone[0]:
            del self._key_at[gone[1][0]]
        self._key_at[place] = key

    def _new_chunk(self) -> int:
        place = self._next_chunk
        self._next_chunk += self._config.chunk
        return place

    def learn(self, key: int, stream: int, outcome: int) -> None:
        """The stream's last key A is followed by B: B's place is behind A's, unless B is believed to be elsewhere."""
        last = self._last.use(stream)
        self._last.put(stream, key)
        if last is None or last == key:
            return
        before = self._place.use(last)
        if before is None:
            before = (self._new_chunk(), self._most)
            self._put(last, *before)
        wanted = before[0] + 1
        if wanted % self._config.chunk == 0:
            wanted = self._new_chunk()
        found = self._place.use(key)
        if found is None:
            # A place that another key holds goes to the new one when that one is believed no more.
            holder = self._key_at.get(wanted)
            if holder is None or self._doubt(holder):
                self._put(key, wanted, self._most)
        elif found[0] == wanted:
            self._place.put(key, (wanted, min(found[1] + 1, self._most)))
        elif self._doubt(key):
            self._put(key, wanted, self._most)

    def _doubt(self, key: int) -> bool:
        """Believe a key's place less; whether it is believed no more."""
        place, confidence = self._place.peek(key) or (0, 0)
        if confidence == 0:
            return True
        self._place.put(key, (place, confidence - 1))
        return False

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        """The keys at the places behind, to the end of the chunk."""
        found = self._place.peek(key)
        if found is None:
            return []
        left = self._config.chunk - 1 - found[0] % self._config.chunk
        places = range(found[0] + 1, found[0] + 1 + min(self._config.degree, left))
        return sure([self._key_at[place] for place in places if place in self._key_at])
