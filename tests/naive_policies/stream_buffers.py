"""Stream buffers: several sequential streams at once, each a short queue of the blocks that follow.

Jouppi, "Improving Direct-Mapped Cache Performance by the Addition of a Small Fully-Associative Cache and Prefetch
Buffers", ISCA 1990. The buffers' blocks go into the cache here, not into buffers beside it; any block of a queue may be
met, not just its head (the quasi-sequential variant of the paper). How many and how deep are figures of later
streamers: the paper has four buffers of four.
"""

from collections.abc import Sequence
from typing import Literal

from policies.base import Degree, PolicySettings, TablePolicy, TriggerName, sure
from policies.given import Built, Given
from policies.table import Table
from simulator.config import Count


class StreamBuffersConfig(PolicySettings):
    """The blocks after a miss, kept that far ahead as a buffer's blocks are used (Jouppi 1990)."""

    kind: Literal["stream_buffers"]
    buffers: Count = 64
    depth: Degree = 5
    trigger: TriggerName = "tagged"

    def build(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(StreamBuffersPolicy(self))


class StreamBuffersPolicy(TablePolicy):
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
