"""One-block lookahead with run detection: the next block, once a stream has gone on by one for a while.

Smith, "Sequentiality and Prefetching in Database Systems", TODS 1978. Models runs of a stream, not of a file.
"""

from typing import Literal

from policies import rows
from policies.base import CompiledPolicy, Degree, PolicySettings, TriggerName
from policies.given import Built, Given
from policies.keys import gap
from policies.rows import FIELDS
from simulator.answers import Floats, offer
from simulator.arrays import NONE, Ints
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


# The state: how long a run must be, then a row for each stream: its last block, and the run so far.
_RUN, _STREAMS = range(2)
_LAST, _LENGTH = range(FIELDS, FIELDS + 2)


def _learn(p: Ints, key: int, stream: int, outcome: int) -> None:
    """The run goes on, or a new one begins with this access; an access of the same block is none."""
    row = rows.put(p, _STREAMS, stream)
    if p[row + _LENGTH] != 0 and key == p[row + _LAST]:
        return
    p[row + _LENGTH] = p[row + _LENGTH] + 1 if gap(key, p[row + _LAST]) == 1 else 1
    p[row + _LAST] = key


def _want(p: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """The next block if the run is long enough."""
    row = rows.peek(p, _STREAMS, stream)
    if row == NONE or p[row + _LENGTH] < p[_RUN]:
        return 0
    return offer(keys, confidences, 0, p[row + _LAST], 1, 1.0)


class OblPolicy(CompiledPolicy):
    """Counts the consecutive accesses of each stream."""

    def __init__(self, config: OblConfig) -> None:
        p = rows.state(_STREAMS + rows.words(config.streams, 2))
        p[_RUN] = config.run
        rows.setup(p, _STREAMS, config.streams, 2)
        super().__init__(config.trigger, p, _learn, _want, most_wanted=1)
