"""Mithril: pairs of blocks that, each time one was used, were used together; mined from blocks of middling frequency.

Yang et al., "Mithril: Mining Sporadic Associations for Cache Prefetching", SoCC 2017. A block is recorded until it was
used ``min_support`` times, then waits in the mining table, whose rows are compared when it is full. Two rows are
associated, the later one with the earlier, if their times lie within the lookahead of each other, but for
``confidence`` of them at most, and if a pair of times is side by side, or the row is the first that comes near. A
block used more than
``max_support`` times is too frequent to be worth a row. Leaves out the second chance that unused prefetches get.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from policies.base import Degree, PolicySettings, TablePolicy, TriggerName, sure
from policies.given import Built, Given
from policies.table import Table
from simulator.config import Count
from simulator.policy import Ahead


class MithrilConfig(PolicySettings):
    """Blocks that were sporadically used together (Yang et al. 2017)."""

    kind: Literal["mithril"]
    lookahead: Count = 20
    min_support: Annotated[int, Field(ge=1, le=64)] = 2
    max_support: Annotated[int, Field(ge=1, le=64)] = 8
    confidence: Annotated[int, Field(ge=0, le=64)] = 1
    successors: Degree = 2
    recording_entries: Count = 8192
    mining_entries: Annotated[int, Field(ge=2, le=2**16)] = 512
    entries: Count = 16384
    trigger: TriggerName = "access"

    @model_validator(mode="after")
    def _supports(self) -> "MithrilConfig":
        if self.max_support < self.min_support:
            raise ValueError(f"max_support: expected at least min_support {self.min_support}, got {self.max_support}")
        return self

    def build(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(MithrilPolicy(self))


class MithrilPolicy(TablePolicy):
    """Times of use by block: few in the recording table, some in the mining table; and who to prefetch with whom."""

    ahead = Ahead(of_stream=False)

    def __init__(self, config: MithrilConfig) -> None:
        super().__init__(config.trigger)
        self._config = config
        self._now = 0
        self._recording: Table[int, tuple[int, ...]] = Table(config.recording_entries)
        self._mining: dict[int, tuple[int, ...]] = {}
        self._associated: Table[int, tuple[int, ...]] = Table(config.entries)

    def learn(self, key: int, stream: int, outcome: int) -> None:
        """Write down the time; mine when the mining table is full."""
        config = self._config
        self._now += 1
        if key in self._mining:
            times = (*self._mining[key], self._now)
            if len(times) > config.max_support:
                del self._mining[key]
            else:
                self._mining[key] = times
            return
        times = (*(self._recording.peek(key) or ()), self._now)
        if len(times) < config.min_support:
            self._recording.put(key, times)
            return
        self._recording.pop(key)
        self._mining[key] = times
        if len(self._mining) == config.mining_entries:
            self._mine()
            self._mining.clear()

    def _mine(self) -> None:
        """Compare each row with those that begin within its lookahead."""
        rows = sorted(self._mining.items(), key=lambda row: row[1][0])
        for i, (key, times) in enumerate(rows):
            is_first = True
            for other, others in rows[i + 1 :]:
                if others[0] - times[0] > self._config.lookahead:
                    break
                if abs(len(others) - len(times)) > self._config.confidence:
                    continue
                gaps = [abs(a - b) for a, b in zip(times, others, strict=False)]
                n_apart = sum(gap > self._config.lookahead for gap in gaps)
                if n_apart <= self._config.confidence and (is_first or 1 in gaps):
                    self._associate(key, other)
                is_first = False

    def _associate(self, key: int, other: int) -> None:
        """The newest associations stay."""
        old = self._associated.use(key) or ()
        self._associated.put(key, (other, *(k for k in old if k != other))[: self._config.successors])

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        """The blocks that go with it."""
        return sure(self._associated.use(key) or ())
