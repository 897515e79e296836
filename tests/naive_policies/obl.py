"""One-block lookahead with run detection: the next block, once a stream has gone on by one for a while.

Smith, "Sequentiality and Prefetching in Database Systems", TODS 1978. Models runs of a stream, not of a file.
"""

from collections.abc import Sequence
from typing import Literal

from policies.base import Degree, PolicySettings, TablePolicy, TriggerName, sure
from policies.given import Built, Given
from policies.table import Table
from simulator.config import Count


class OblConfig(PolicySettings):
    """The next block, after a run of consecutive ones in the stream (Smith 1978)."""

    kind: Literal["obl"]
    run: Degree = 4
    streams: Count = 1024
    trigger: TriggerName = "access"

    def build(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(OblPolicy(self))


class OblPolicy(TablePolicy):
    """Counts the consecutive accesses of each stream."""

    def __init__(self, config: OblConfig) -> None:
        super().__init__(config.trigger)
        self._run = config.run
        self._last: Table[int, tuple[int, int]] = Table(config.streams)

    def learn(self, key: int, stream: int, outcome: int) -> None:
        """The run goes on, or a new one begins with this access; an access of the same block is none."""
        last, run = self._last.use(stream) or (-1, 0)
        if key != last:
            self._last.put(stream, (key, run + 1 if key == last + 1 and run else 1))

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        """The next block if the run is long enough."""
        last, run = self._last.peek(stream) or (-1, 0)
        return sure([last + 1]) if run >= self._run else []
