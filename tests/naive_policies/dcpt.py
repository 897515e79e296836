"""Delta-correlating prediction tables: a short list of the last deltas of each stream.

Grannaes, Jahre & Natvig, "Storage Efficient Hardware Prefetching using Delta-Correlating Prediction Tables", DPC-1
2009. A stream stands where the paper has the load instruction. The filter of prefetches in flight is a short list of
the last that were wanted; the engine rejects the others.
"""

from collections import deque
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from policies.base import PolicySettings, TablePolicy, TriggerName, sure
from policies.given import Built, Given
from policies.table import Table
from simulator.config import Count


class DcptConfig(PolicySettings):
    """All that followed the stream's last two steps in its short history (Grannaes et al. 2009)."""

    kind: Literal["dcpt"]
    entries: Count = 128
    deltas: Annotated[int, Field(ge=3, le=2**16)] = 20
    delta_bits: Annotated[int, Field(ge=2, le=62)] = 12
    in_flight: Count = 32
    trigger: TriggerName = "tagged"

    def build(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(DcptPolicy(self))


class _Line:
    __slots__ = ("deltas", "last", "last_prefetch")

    def __init__(self, key: int, n_deltas: int) -> None:
        self.last = key
        self.last_prefetch: int | None = None
        self.deltas: deque[int] = deque(maxlen=n_deltas)


class DcptPolicy(TablePolicy):
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
        delta = key - line.last
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
