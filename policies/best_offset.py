"""Best-offset prefetching: the one offset at which most recent accesses would have been prefetched in time.

Michaud, "Best-Offset Hardware Prefetching", HPCA 2016. The paper enters a base address into the table of recent
requests when its prefetch is filled, so that an offset scores only if it is timely. A policy here does not see fills:
an access enters the table ``delay`` accesses later. One table of the last requests stands for its two direct-mapped
banks.
"""

from typing import Annotated, Literal

from pydantic import Field

from policies import rows
from policies.base import CompiledPolicy, Degree, TableSettings, TriggerName
from policies.given import Built, Given
from policies.keys import crossing
from simulator.answers import Floats, walk
from simulator.arrays import NONE, Ints, minus
from simulator.compiled import internal
from simulator.config import Count, Whole
from simulator.policy import Ahead


class BestOffsetConfig(TableSettings):
    """The block at the one best offset, learned in rounds; nothing while none is good (Michaud 2016)."""

    kind: Literal["best_offset"]
    score_max: Count = 31
    """The score that ends a learning phase (SCORE_MAX)."""
    round_max: Count = 100
    """Rounds after which a learning phase ends anyway (ROUND_MAX)."""
    bad_score: Whole = 10
    """At this score or below nothing is prefetched (BAD_SCORE)."""
    max_offset: Degree = 256
    """The largest offset tried; of those below, the ones whose factors are 2, 3 and 5 alone."""
    recent: Count = 128
    """Recent requests in which an offset is looked up."""
    delay: Annotated[int, Field(ge=0, le=2**16)] = 2
    """Accesses until one enters the recent requests, which stands for the time of a fill."""
    degree: Degree = 1
    """Multiples of the best offset to ask for."""
    trigger: TriggerName = "tagged"
    """When it is asked: at every `access`, at a `miss`, or `tagged`: at misses and first uses of prefetched blocks."""

    def fresh(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(BestOffsetPolicy(self))


def offsets_up_to(most: int) -> list[int]:
    """The numbers up to ``most`` with no prime factor but 2, 3 and 5: 52 up to 256."""
    found = []
    for n in range(1, most + 1):
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            found.append(n)
    return found


# The state: settings, which offset is tested next and in which round, the best one (or 0), how many accesses there ever
# were, where the ring of those that wait lies, and the table of recent ones, how many offsets there are. Then they
# follow, and their scores.
(
    _SCORE_MAX, _ROUND_MAX, _BAD_SCORE, _DELAY, _DEGREE, _AT, _ROUND, _BEST, _N_SEEN, _WAITING, _RECENT, _N, _OFFSETS,
) = range(13)  # fmt: skip


@internal
def _enter(state: Ints, key: int) -> None:
    """Let the access that is old enough into the table."""
    size = state[_DELAY] + 1
    state[state[_WAITING] + state[_N_SEEN] % size] = key
    state[_N_SEEN] += 1
    if state[_N_SEEN] >= size:
        # The oldest in the ring.
        rows.put(state, state[_RECENT], state[state[_WAITING] + state[_N_SEEN] % size])


@internal
def _end_round(state: Ints) -> None:
    """A learning phase may be over: the best offset, the smallest of those that are alike, or none if it is bad."""
    n = state[_N]
    scores, best = _OFFSETS + n, 0
    for i in range(1, n):
        if state[scores + i] > state[scores + best]:
            best = i
    state[_AT] = 0
    state[_ROUND] += 1
    if state[scores + best] < state[_SCORE_MAX] and state[_ROUND] < state[_ROUND_MAX]:
        return
    state[_BEST] = state[_OFFSETS + best] if state[scores + best] > state[_BAD_SCORE] else 0
    state[_ROUND] = 0
    for i in range(n):
        state[scores + i] = 0


def _learn(state: Ints, key: int, stream: int, outcome: int) -> None:
    """Test the next offset, and let accesses that are old enough into the table."""
    offset = state[_OFFSETS + state[_AT]]
    if crossing(key, -offset) == 0 and rows.peek(state, state[_RECENT], minus(key, offset)) != NONE:
        state[_OFFSETS + state[_N] + state[_AT]] += 1
    state[_AT] += 1
    if state[_AT] == state[_N]:
        _end_round(state)
    _enter(state, key)


def _want(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """The blocks at multiples of the best offset."""
    return walk(keys, confidences, 0, key, state[_BEST], state[_DEGREE], 1.0)


class BestOffsetPolicy(CompiledPolicy):
    """Scores of all offsets, tested one an access in turn."""

    def __init__(self, config: BestOffsetConfig) -> None:
        offsets = offsets_up_to(config.max_offset)
        n = len(offsets)
        waiting = _OFFSETS + 2 * n
        recent = waiting + config.delay + 1
        state = rows.state(recent + rows.words(config.recent, 0))
        # No score comes as high as that.
        state[_SCORE_MAX], state[_ROUND_MAX], state[_BAD_SCORE] = (
            config.score_max,
            config.round_max,
            min(config.bad_score, 2**62),
        )
        state[_DELAY], state[_DEGREE], state[_BEST], state[_WAITING], state[_RECENT] = (
            config.delay,
            config.degree,
            1,
            waiting,
            recent,
        )
        state[_N], state[_OFFSETS : _OFFSETS + n] = n, offsets
        rows.setup(state, recent, config.recent, 0)
        super().__init__(config.trigger, state, _learn, _want, config.degree, Ahead(of_stream=False))
