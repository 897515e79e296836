"""Stride prefetching with a reference prediction table, a line for each stream.

Chen & Baer, "Effective Hardware-Based Data Prefetching for High-Performance Processors", IEEE ToC 1995. A stream stands
where the paper has the address of the load instruction, which no trace here has; in place of the four states a
saturating counter tells whether a stride is believed, as in gem5. Models no lookahead program counter.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from policies.base import Degree, PolicySettings, TablePolicy, TriggerName
from policies.given import Built, Given
from policies.table import Table
from simulator.config import Count, Ratio


class StrideConfig(PolicySettings):
    """The blocks that follow at a stream's stride: reference prediction table (Chen & Baer 1995)."""

    kind: Literal["stride"]
    entries: Count = 64
    degree: Degree = 4
    counter_bits: Annotated[int, Field(ge=1, le=16)] = 3
    start: Annotated[int, Field(ge=0)] = 4
    threshold: Ratio = 0.5
    trigger: TriggerName = "access"

    def build(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(StridePolicy(self))


class StridePolicy(TablePolicy):
    """Last block, stride and confidence of each stream."""

    def __init__(self, config: StrideConfig) -> None:
        super().__init__(config.trigger)
        self._config = config
        self._most = 2**config.counter_bits - 1
        self._table: Table[int, tuple[int, int, int]] = Table(config.entries)

    def learn(self, key: int, stream: int, outcome: int) -> None:
        """The same stride again makes it surer, another one less sure, and replaces it when it is believed no more."""
        config = self._config
        found = self._table.use(stream)
        if found is None:
            self._table.put(stream, (key, 0, min(config.start, self._most)))
            return
        last, stride, confidence = found
        if key == last:
            return
        if key - last == stride:
            confidence = min(confidence + 1, self._most)
        else:
            confidence = max(confidence - 1, 0)
            if confidence < config.threshold * self._most:
                stride = key - last
        self._table.put(stream, (key, stride, confidence))

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        """The following blocks of a believed stride, all with the counter as their confidence."""
        found = self._table.peek(stream)
        if found is None:
            return []
        last, stride, confidence = found
        if stride == 0 or confidence < self._config.threshold * self._most:
            return []
        return [(last + stride * i, confidence / self._most) for i in range(1, self._config.degree + 1)]
