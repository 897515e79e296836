"""Stride prefetching with a reference prediction table, a line for each stream.

Chen & Baer, "Effective Hardware-Based Data Prefetching for High-Performance Processors", IEEE ToC 1995. A stream stands
where the paper has the address of the load instruction, which no trace here has; in place of the four states a
saturating counter tells whether a stride is believed, as in gem5. Models no lookahead program counter.
"""

import math
from typing import Annotated, Literal

from pydantic import Field

from policies import rows
from policies.base import CompiledPolicy, Degree, PolicySettings, TriggerName
from policies.given import Built, Given
from policies.rows import FIELDS
from simulator.answers import Floats, walk
from simulator.arrays import NONE, Ints, minus
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


# The state: settings, then the rows. A line's fields: last block, stride, counter.
_DEGREE, _MOST, _START, _THRESHOLD, _TABLE = range(5)
_LAST, _STRIDE, _COUNTER = range(FIELDS, FIELDS + 3)


def _learn(p: Ints, key: int, stream: int, outcome: int) -> None:
    """The same stride again makes it surer, another one less sure, and replaces it when it is believed no more."""
    line = rows.use(p, _TABLE, stream)
    if line == NONE:
        line = rows.put(p, _TABLE, stream)
        p[line + _LAST], p[line + _COUNTER] = key, p[_START]
        return
    step = minus(key, p[line + _LAST])
    if step == 0:
        return
    if step == p[line + _STRIDE]:
        p[line + _COUNTER] = min(p[line + _COUNTER] + 1, p[_MOST])
    else:
        p[line + _COUNTER] = max(p[line + _COUNTER] - 1, 0)
        if p[line + _COUNTER] < p[_THRESHOLD]:
            p[line + _STRIDE] = step
    p[line + _LAST] = key


def _want(p: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """The following blocks of a believed stride, all with the counter as their confidence."""
    line = rows.peek(p, _TABLE, stream)
    if line == NONE or p[line + _COUNTER] < p[_THRESHOLD]:
        return 0
    return walk(keys, confidences, 0, p[line + _LAST], p[line + _STRIDE], p[_DEGREE], p[line + _COUNTER] / p[_MOST])


class StridePolicy(CompiledPolicy):
    """Last block, stride and confidence of each stream."""

    def __init__(self, config: StrideConfig) -> None:
        most = 2**config.counter_bits - 1
        p = rows.state(_TABLE + rows.words(config.entries, 3))
        # A counter is a whole number, so the threshold may be one too.
        p[:_TABLE] = config.degree, most, min(config.start, most), math.ceil(config.threshold * most)
        rows.setup(p, _TABLE, config.entries, 3)
        super().__init__(config.trigger, p, _learn, _want, most_wanted=config.degree)
