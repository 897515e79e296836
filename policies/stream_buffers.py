"""Stream buffers: several sequential streams at once, each a short queue of the blocks that follow.

Jouppi, "Improving Direct-Mapped Cache Performance by the Addition of a Small Fully-Associative Cache and Prefetch
Buffers", ISCA 1990. The buffers' blocks go into the cache here, not into buffers beside it; any block of a queue may be
met, not just its head (the quasi-sequential variant of the paper). How many and how deep are figures of later
streamers: the paper has four buffers of four.
"""

from typing import Literal

import numpy as np

from policies.base import CompiledPolicy, Degree, TableSettings, TriggerName
from policies.given import Built, Given
from policies.keys import behind, gap
from simulator.answers import Floats
from simulator.arrays import NONE, Ints, minus
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


# The state: how deep a buffer is, how many there may be and are, how often any was used, what was put into a buffer
# just now (the key before its head, and how many of its blocks were there before); then the key before the head of each
# buffer, and behind these when it was used last. All are looked at at every access: so they lie close together.
_DEPTH, _MOST, _N, _N_USES, _KEY, _KNOWN, _BUFFERS = range(7)


def _learn(state: Ints, key: int, stream: int, outcome: int) -> None:
    """A key that a buffer holds moves its head behind it; any other gets a buffer of its own."""
    depth, n = state[_DEPTH], state[_N]
    uses = _BUFFERS + state[_MOST]
    state[_KEY] = key
    state[_N_USES] += 1
    # Of several that hold it the one used longest ago.
    found: int = NONE
    oldest = 0
    for i in range(n):
        before = state[_BUFFERS + i]
        holds = 0 < minus(key, before) <= depth and gap(key, before) > 0
        if holds and (found == NONE or state[uses + i] < state[uses + found]):
            found = i
        if state[uses + i] < state[uses + oldest]:
            oldest = i
    if found != NONE:
        state[_KNOWN] = depth - minus(key, state[_BUFFERS + found])
    else:
        state[_KNOWN] = 0
        found = oldest
        if n < state[_MOST]:
            found = n
            state[_N] += 1
    state[_BUFFERS + found], state[uses + found] = key, state[_N_USES]


def _want(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """What was put into the buffer just now."""
    return behind(keys, confidences, state[_KEY], state[_KNOWN], state[_DEPTH] - state[_KNOWN])


class StreamBuffersPolicy(CompiledPolicy):
    """Each buffer holds so many keys from its head on."""

    def __init__(self, config: StreamBuffersConfig) -> None:
        state = np.zeros(_BUFFERS + 2 * config.buffers, np.int64)
        state[_DEPTH] = state[_KNOWN] = config.depth
        state[_MOST] = config.buffers
        super().__init__(config.trigger, state, _learn, _want, most_wanted=config.depth)
