"""Leap: the majority of the last steps, in a window that grows until there is one.

Maruf & Chowdhury, "Effectively Prefetching Remote Memory with Leap", ATC 2020. One history for all streams, as one
process has in the paper. How many blocks are wanted grows with the prefetches that were used since the last question
and shrinks by half at most. Leaves out what the paper does where there is no trend: it reads around the fault.
"""

from typing import Annotated, Literal

from pydantic import Field

from policies import rows
from policies.base import CompiledPolicy, Degree, TableSettings, TriggerName
from policies.given import Built, Given
from simulator.answers import Floats, walk
from simulator.arrays import Ints, minus
from simulator.compiled import internal
from simulator.policy import Ahead, Outcome


class LeapConfig(TableSettings):
    """The blocks along the majority of the last steps (Maruf & Chowdhury 2020)."""

    kind: Literal["leap"]
    history: Annotated[int, Field(ge=2, le=2**16)] = 32
    """Steps remembered, of all streams together."""
    split: Annotated[int, Field(ge=1, le=2**16)] = 4
    """The first window in which a majority is looked for: history / split (N_split)."""
    max_window: Degree = 8
    """Blocks to ask for, at most."""
    trigger: TriggerName = "tagged"
    """When it is asked: at every `access`, at a `miss`, or `tagged`: at misses and first uses of prefetched blocks."""

    def fresh(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(LeapPolicy(self))


# The state: settings, the last key and whether there is one, prefetches used since the last question, the window, the
# trend, how many steps there are, where the newest is, and the ring of them.
(
    _HISTORY, _FIRST_SIZE, _MAX_WINDOW, _HAS_LAST, _LAST, _N_USED, _WINDOW, _TREND, _N, _NEWEST, _RING,
) = range(11)  # fmt: skip
_HIT_PREFETCHED, _LATE = int(Outcome.HIT_PREFETCHED), int(Outcome.LATE)


def _learn(state: Ints, key: int, stream: int, outcome: int) -> None:
    """The step to this access, and whether a prefetch served it."""
    if state[_HAS_LAST]:
        state[_NEWEST] = state[_NEWEST] + 1 if state[_NEWEST] + 1 < state[_HISTORY] else 0
        state[_RING + state[_NEWEST]] = minus(key, state[_LAST])
        state[_N] = min(state[_N] + 1, state[_HISTORY])
    state[_HAS_LAST], state[_LAST] = 1, key
    if outcome in (_HIT_PREFETCHED, _LATE):
        state[_N_USED] += 1


@internal
def _step(state: Ints, i: int) -> int:
    """The step that has so many newer ones."""
    at = state[_NEWEST] - i
    return state[_RING + (at if at >= 0 else at + state[_HISTORY])]


@internal
def _has_majority(state: Ints, size: int) -> bool:
    """Whether a step, then the trend, is more than half of the last ones, by Boyer and Moore's vote."""
    candidate, votes = 0, 0
    for i in range(size):
        step = _step(state, i)
        if votes == 0:
            candidate = step
        votes += 1 if step == candidate else -1
    n = 0
    for i in range(size):
        n += _step(state, i) == candidate
    state[_TREND] = candidate
    return 2 * n > size


@internal
def _has_trend(state: Ints) -> bool:
    """Whether a step has the majority, in the smallest window in which one has."""
    size = state[_FIRST_SIZE]
    while size < state[_N]:
        if _has_majority(state, size):
            return True
        size *= 2
    return state[_N] > 0 and _has_majority(state, state[_N])


@internal
def _next_window(state: Ints, follows: bool) -> int:
    """How many blocks: a power of two above the prefetches that were used."""
    if state[_N_USED] == 0:
        return 1 if follows else 0
    window = 1
    while window <= state[_N_USED] and window < state[_MAX_WINDOW]:
        window *= 2
    return min(window, state[_MAX_WINDOW])


def _want(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """So many blocks along the trend."""
    has_trend = _has_trend(state)
    window = max(_next_window(state, has_trend and _step(state, 0) == state[_TREND]), state[_WINDOW] // 2)
    state[_WINDOW], state[_N_USED] = window, 0
    return walk(keys, confidences, 0, key, state[_TREND], window if has_trend else 0, 1.0)


class LeapPolicy(CompiledPolicy):
    """The last steps, newest first."""

    def __init__(self, config: LeapConfig) -> None:
        state = rows.state(_RING + config.history)
        state[:_HAS_LAST] = config.history, max(config.history // config.split, 1), config.max_window
        super().__init__(config.trigger, state, _learn, _want, config.max_window, Ahead(of_stream=False))
