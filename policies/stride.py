"""Stride prefetching with a reference prediction table, a line for each stream.

Chen & Baer, "Effective Hardware-Based Data Prefetching for High-Performance Processors", IEEE ToC 1995. A stream stands
where the paper has the address of the load instruction, which no trace here has; in place of the four states a
saturating counter tells whether a stride is believed, as in gem5. Models no lookahead program counter.
"""

import math
from typing import Annotated, Literal

from pydantic import Field

from policies import rows
from policies.base import CompiledPolicy, Degree, TableSettings, TriggerName
from policies.given import Built, Given
from policies.rows import FIELDS
from simulator.answers import Floats, walk
from simulator.arrays import NONE, Ints, minus
from simulator.config import Count, Ratio, Whole


class StrideConfig(TableSettings):
    """The blocks that follow at a stream's stride: reference prediction table (Chen & Baer 1995)."""

    kind: Literal["stride"]
    entries: Count = 64
    """Lines of the reference prediction table, one a stream; the one used longest ago makes room."""
    degree: Degree = 4
    """Blocks ahead, at the stride."""
    counter_bits: Annotated[int, Field(ge=1, le=16)] = 3
    """Bits of the counter that says how far a stride is believed."""
    counter_start: Whole = 4
    """The counter of a new line."""
    threshold: Ratio = 0.5
    """Share of the highest count from which on a stride is believed."""
    trigger: TriggerName = "access"
    """When it is asked: at every `access`, at a `miss`, or `tagged`: at misses and first uses of prefetched blocks."""

    def fresh(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(StridePolicy(self))


# The state: settings, then the rows. A line's fields: last block, stride, counter.
_DEGREE, _MOST, _START, _THRESHOLD, _TABLE = range(5)
_LAST, _STRIDE, _COUNTER = range(FIELDS, FIELDS + 3)


def _learn(state: Ints, key: int, stream: int, outcome: int) -> None:
    """The same stride again makes it surer, another one less sure, and replaces it when it is believed no more."""
    line = rows.use(state, _TABLE, stream)
    if line == NONE:
        line = rows.put(state, _TABLE, stream)
        state[line + _LAST], state[line + _COUNTER] = key, state[_START]
        return
    step = minus(key, state[line + _LAST])
    if step == 0:
        return
    if step == state[line + _STRIDE]:
        state[line + _COUNTER] = min(state[line + _COUNTER] + 1, state[_MOST])
    else:
        state[line + _COUNTER] = max(state[line + _COUNTER] - 1, 0)
        if state[line + _COUNTER] < state[_THRESHOLD]:
            state[line + _STRIDE] = step
    state[line + _LAST] = key


def _want(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """The following blocks of a believed stride, all with the counter as their confidence."""
    line = rows.peek(state, _TABLE, stream)
    if line == NONE or state[line + _COUNTER] < state[_THRESHOLD]:
        return 0
    return walk(
        keys,
        confidences,
        0,
        state[line + _LAST],
        state[line + _STRIDE],
        state[_DEGREE],
        state[line + _COUNTER] / state[_MOST],
    )


class StridePolicy(CompiledPolicy):
    """Last block, stride and confidence of each stream."""

    def __init__(self, config: StrideConfig) -> None:
        most = 2**config.counter_bits - 1
        state = rows.state(_TABLE + rows.words(config.entries, 3))
        # A counter is a whole number, so the threshold may be one too.
        state[:_TABLE] = config.degree, most, min(config.counter_start, most), math.ceil(config.threshold * most)
        rows.setup(state, _TABLE, config.entries, 3)
        super().__init__(config.trigger, state, _learn, _want, most_wanted=config.degree)
