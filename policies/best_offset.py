"""Best-offset prefetching: the one offset at which most recent accesses would have been prefetched in time.

Michaud, "Best-Offset Hardware Prefetching", HPCA 2016. The paper enters a base address into the table of recent
requests when its prefetch is filled, so that an offset scores only if it is timely. A policy here does not see fills:
an access enters the table ``delay`` accesses later. One table of the last requests stands for its two direct-mapped
banks.
"""

from typing import Annotated, Literal

from pydantic import Field

from policies import rows
from policies.base import CompiledPolicy, Degree, PolicySettings, TriggerName
from policies.given import Built, Given
from policies.keys import crossing
from simulator.answers import Floats, walk
from simulator.arrays import NONE, Ints, minus
from simulator.compiled import internal
from simulator.config import Count
from simulator.policy import Ahead


class BestOffsetConfig(PolicySettings):
    """The block at the one best offset, learned in rounds; nothing while none is good (Michaud 2016)."""

    kind: Literal["best_offset"]
    score_max: Count = 31
    round_max: Count = 100
    bad_score: Annotated[int, Field(ge=0)] = 10
    max_offset: Degree = 256
    recent: Count = 128
    delay: Annotated[int, Field(ge=0, le=2**16)] = 2
    degree: Degree = 1
    trigger: TriggerName = "tagged"

    def build(self, given: Given) -> Built:
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
def _enter(p: Ints, key: int) -> None:
    """Let the access that is old enough into the table."""
    size = p[_DELAY] + 1
    p[p[_WAITING] + p[_N_SEEN] % size] = key
    p[_N_SEEN] += 1
    if p[_N_SEEN] >= size:
        # The oldest in the ring.
        rows.put(p, p[_RECENT], p[p[_WAITING] + p[_N_SEEN] % size])


@internal
def _end_round(p: Ints) -> None:
    """A learning phase may be over: the best offset, the smallest of those that are alike, or none if it is bad."""
    n = p[_N]
    scores, best = _OFFSETS + n, 0
    for i in range(1, n):
        if p[scores + i] > p[scores + best]:
            best = i
    p[_AT] = 0
    p[_ROUND] += 1
    if p[scores + best] < p[_SCORE_MAX] and p[_ROUND] < p[_ROUND_MAX]:
        return
    p[_BEST] = p[_OFFSETS + best] if p[scores + best] > p[_BAD_SCORE] else 0
    p[_ROUND] = 0
    for i in range(n):
        p[scores + i] = 0


def _learn(p: Ints, key: int, stream: int, outcome: int) -> None:
    """Test the next offset, and let accesses that are old enough into the table."""
    offset = p[_OFFSETS + p[_AT]]
    if crossing(key, -offset) == 0 and rows.peek(p, p[_RECENT], minus(key, offset)) != NONE:
        p[_OFFSETS + p[_N] + p[_AT]] += 1
    p[_AT] += 1
    if p[_AT] == p[_N]:
        _end_round(p)
    _enter(p, key)


def _want(p: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """The blocks at multiples of the best offset."""
    return walk(keys, confidences, 0, key, p[_BEST], p[_DEGREE], 1.0)


class BestOffsetPolicy(CompiledPolicy):
    """Scores of all offsets, tested one an access in turn."""

    def __init__(self, config: BestOffsetConfig) -> None:
        offsets = offsets_up_to(config.max_offset)
        n = len(offsets)
        waiting = _OFFSETS + 2 * n
        recent = waiting + config.delay + 1
        p = rows.state(recent + rows.words(config.recent, 0))
        # No score comes as high as that.
        p[_SCORE_MAX], p[_ROUND_MAX], p[_BAD_SCORE] = config.score_max, config.round_max, min(config.bad_score, 2**62)
        p[_DELAY], p[_DEGREE], p[_BEST], p[_WAITING], p[_RECENT] = config.delay, config.degree, 1, waiting, recent
        p[_N], p[_OFFSETS : _OFFSETS + n] = n, offsets
        rows.setup(p, recent, config.recent, 0)
        super().__init__(config.trigger, p, _learn, _want, config.degree, Ahead(of_stream=False))
