"""Spatial memory streaming: which blocks of a region are used together, looked up by who starts using the region.

Somogyi et al., "Spatial Memory Streaming", ISCA 2006. A stream and an offset stand where the paper has instruction and
offset. A region's generation ends when a block of it leaves the cache, or its entry the tables of active regions. A
policy is not told what a cache evicts; that a block has left shows when it is missed again.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from policies.base import PolicySettings, TablePolicy, TriggerName, sure
from policies.given import Built, Given
from policies.table import Table
from simulator.config import Count
from simulator.policy import Outcome


class SmsConfig(PolicySettings):
    """The blocks of a region that were used together before (Somogyi et al. 2006)."""

    kind: Literal["sms"]
    region_blocks: Annotated[int, Field(ge=2, le=4096)] = 64
    filter_entries: Count = 64
    accumulation_entries: Count = 64
    history_entries: Count = 16384
    trigger: TriggerName = "access"

    def build(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(SmsPolicy(self))


class SmsPolicy(TablePolicy):
    """Regions used once (filter) and more often (accumulation), and the footprints of those that are over."""

    def __init__(self, config: SmsConfig) -> None:
        super().__init__(config.trigger)
        self._blocks = config.region_blocks
        # Region -> (stream, offset) that began it, and the offsets used since, as bits.
        self._filter: Table[int, tuple[int, int]] = Table(config.filter_entries)
        self._active: Table[int, tuple[tuple[int, int], int]] = Table(config.accumulation_entries)
        self._history: Table[tuple[int, int], int] = Table(config.history_entries)
        self._begun: tuple[int, int] | None = None

    def learn(self, key: int, stream: int, outcome: int) -> None:
        """A region's first block begins a generation; further ones are gathered until one of them is missed again."""
        region, offset = divmod(key, self._blocks)
        self._begun = None
        active = self._active.use(region)
        if active is not None:
            begun_by, footprint = active
            if outcome != Outcome.MISS or not footprint >> offset & 1:
                self._active.put(region, (begun_by, footprint | 1 << offset))
                return
            self._active.pop(region)
            self._history.put(begun_by, footprint)
        first = self._filter.peek(region)
        if first is None or (first[1] == offset and outcome == Outcome.MISS):
            self._filter.put(region, (stream, offset))
            self._begun = (stream, offset)
        elif first[1] != offset:
            self._filter.pop(region)
            gone = self._active.put(region, (first, 1 << first[1] | 1 << offset))
            if gone is not None:
                begun_by, footprint = gone[1]
                self._history.put(begun_by, footprint)

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        """At the start of a generation, the footprint that a start like this had last; nearest block first."""
        footprint = self._history.use(self._begun) if self._begun is not None else None
        if footprint is None:
            return []
        region, offset = divmod(key, self._blocks)
        offsets = [i for i in range(self._blocks) if footprint >> i & 1 and i != offset]
        offsets.sort(key=lambda i: (abs(i - offset), i))
        return sure([region * self._blocks + i for i in offsets])
