"""Next-N lookahead: at the trigger, the N blocks that follow at a fixed stride.

Smith, "Cache Memories", Computing Surveys 1982 (one block lookahead; the tagged trigger is Gindele's). Models no run
detection and no throttling: it prefetches on random accesses as eagerly as on sequential ones.
"""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from policies.base import CompiledPolicy, Degree, TableSettings, TriggerName
from policies.given import Built, Given
from simulator.answers import Floats, walk
from simulator.arrays import Ints

_N, _STRIDE = range(2)


class NextNConfig(TableSettings):
    """The N following blocks, at misses and first uses of prefetched blocks (Smith 1982)."""

    kind: Literal["next_n"]
    n: Degree = 1
    """Blocks ahead."""
    stride: Annotated[int, Field(ge=-(2**62), le=2**62)] = 1
    """Between them, in keys."""
    trigger: TriggerName = "tagged"
    """When it is asked: at every `access`, at a `miss`, or `tagged`: at misses and first uses of prefetched blocks."""

    def fresh(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(NextNPolicy(self.n, self.trigger, self.stride))


def _learn(state: Ints, key: int, stream: int, outcome: int) -> None:
    """Nothing."""


def _want(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """Nearest block first."""
    return walk(keys, confidences, 0, key, state[_STRIDE], state[_N], 1.0)


class NextNPolicy(CompiledPolicy):
    """Wants ``key + stride`` to ``key + n * stride`` of the access that asks."""

    def __init__(self, n: int = 1, trigger: TriggerName = "tagged", stride: int = 1) -> None:
        super().__init__(trigger, np.array([n, stride]), _learn, _want, most_wanted=n)
