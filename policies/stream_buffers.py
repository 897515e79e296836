"""Stream buffers: several sequential streams at once, each a short queue of the blocks that follow.

Jouppi, "Improving Direct-Mapped Cache Performance by the Addition of a Small Fully-Associative Cache and Prefetch
Buffers", ISCA 1990. The buffers' blocks go into the cache here, not into buffers beside it; any block of a queue may be
met, not just its head (the quasi-sequential variant of the paper). How many and how deep are figures of later
streamers: the paper has four buffers of four.
"""

from typing import Literal

from policies import rows
from policies.base import CompiledPolicy, Degree, TableSettings, TriggerName
from policies.given import Built, Given
from policies.keys import behind, gap
from policies.rows import FIELDS
from simulator.answers import Floats
from simulator.arrays import NONE, Ints
from simulator.config import Count


class StreamBuffersConfig(TableSettings):
    """The blocks after a miss, kept that far ahead as a buffer's blocks are used (Jouppi 1990)."""

    kind: Literal["stream_buffers"]
    buffers: Count = 64
    """Streams followed at once."""
    depth: Degree = 5
    """Blocks that each is kept ahead."""
    trigger: TriggerName = "tagged"
    """When it is asked: at every `access`, at a `miss`, or `tagged`: at misses and first uses of prefetched blocks."""

    def fresh(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(StreamBuffersPolicy(self))


# The state: how deep a buffer is, how many were made, what was put into a buffer just now (the key before its head, and
# how many of its blocks were there before); then the buffers, each known by a number, with the key before its head.
_DEPTH, _N_MADE, _KEY, _KNOWN, _BUFFERS = range(5)
_BEFORE = FIELDS


def _learn(state: Ints, key: int, stream: int, outcome: int) -> None:
    """A key that a buffer holds moves its head behind it; any other gets a buffer of its own."""
    state[_KEY] = key
    row = rows.oldest(state, _BUFFERS)
    while row != NONE:
        place = gap(key, state[row + _BEFORE])
        if 0 < place <= state[_DEPTH]:
            state[_KNOWN] = state[_DEPTH] - place
            state[row + _BEFORE] = key
            rows.touch(state, _BUFFERS, row)
            return
        row = rows.newer(state, row)
    state[_KNOWN] = 0
    row = rows.put(state, _BUFFERS, state[_N_MADE])
    state[row + _BEFORE] = key
    state[_N_MADE] += 1


def _want(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """What was put into the buffer just now."""
    return behind(keys, confidences, state[_KEY], state[_KNOWN], state[_DEPTH] - state[_KNOWN])


class StreamBuffersPolicy(CompiledPolicy):
    """Each buffer holds so many keys from its head on; they are known by a number."""

    def __init__(self, config: StreamBuffersConfig) -> None:
        state = rows.state(_BUFFERS + rows.words(config.buffers, 1))
        state[_DEPTH] = state[_KNOWN] = config.depth
        rows.setup(state, _BUFFERS, config.buffers, 1)
        super().__init__(config.trigger, state, _learn, _want, most_wanted=config.depth)
