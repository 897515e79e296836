"""One-block lookahead with run detection: the next block, once a stream has gone on by one for a while.

Smith, "Sequentiality and Prefetching in Database Systems", TODS 1978. ``run`` counts as libCacheSim's
``sequential-confidence-k`` does: so many accesses before this one were the blocks that lead up to its own. Models runs
of a stream, not of a file; an access of the same block again neither ends a run nor lengthens it, where libCacheSim's
ends.
"""

from typing import Literal

from policies import rows
from policies.base import CompiledPolicy, Degree, TableSettings, TriggerName
from policies.given import Built, Given
from policies.keys import gap
from policies.rows import FIELDS
from simulator.answers import Floats, offer
from simulator.arrays import NONE, Ints
from simulator.config import Count


class OblConfig(TableSettings):
    """The next block, after a run of consecutive ones in the stream (Smith 1978)."""

    kind: Literal["obl"]
    run: Degree = 4
    """Accesses in order that must have led up to a block."""
    streams: Count = 1024
    """Streams remembered, those used last."""
    trigger: TriggerName = "access"
    """When it is asked: at every `access`, at a `miss`, or `tagged`: at misses and first uses of prefetched blocks."""

    def fresh(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(OblPolicy(self))


# The state: how many accesses must lead up to one, then a row for each stream: its last block, and how many in a row.
_RUN, _STREAMS = range(2)
_LAST, _LENGTH = range(FIELDS, FIELDS + 2)


def _learn(state: Ints, key: int, stream: int, outcome: int) -> None:
    """The run goes on, or a new one begins with this access; an access of the same block is none."""
    row = rows.put(state, _STREAMS, stream)
    if state[row + _LENGTH] != 0 and key == state[row + _LAST]:
        return
    state[row + _LENGTH] = state[row + _LENGTH] + 1 if gap(key, state[row + _LAST]) == 1 else 1
    state[row + _LAST] = key


def _want(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """The next block if enough accesses of the run came before the last one."""
    row = rows.peek(state, _STREAMS, stream)
    if row == NONE or state[row + _LENGTH] <= state[_RUN]:
        return 0
    return offer(keys, confidences, 0, state[row + _LAST], 1, 1.0)


class OblPolicy(CompiledPolicy):
    """Counts the consecutive accesses of each stream."""

    def __init__(self, config: OblConfig) -> None:
        state = rows.state(_STREAMS + rows.words(config.streams, 2))
        state[_RUN] = config.run
        rows.setup(state, _STREAMS, config.streams, 2)
        super().__init__(config.trigger, state, _learn, _want, most_wanted=1)
