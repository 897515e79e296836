"""The oracle: knows the accesses to come, and pays for its transfers. The ceiling of prefetching, but for luck.

It wants what is read next, soonest first, and never says what is to leave. How far it looks: as many blocks as are
half of tier 0, as LRU would push out what was fetched for later, and less where it hears that this happens. The
nearest are wanted at every access, as anything may have been pushed out meanwhile; what is there is not fetched again.
Those further on are wanted once, when they come into sight: what a full budget refuses then does not keep nearer and
later blocks from their turn, so that parts of a long request are there before it comes.

A block that is written before it is read needs no fetch, which would only make the write wait. What a stream needs
that lags behind the trace, as may be in a closed loop, is wanted when it asks itself, and not by the others.
"""

from typing import Literal

import numpy as np

from policies.base import CompiledPolicy, Degree, PolicySettings
from policies.given import Built, Demand, Given
from simulator.answers import HEARD, Floats
from simulator.arrays import Ints
from simulator.compiled import address_of, internal, ints_at
from simulator.policy import Ahead, Fate
from simulator.records.record import Record, view
from simulator.records.rows import START


class OracleConfig(PolicySettings):
    """What is read next, known beforehand: the ceiling."""

    kind: Literal["oracle"]
    k: Degree = 256
    """How many coming blocks it knows, at most; and no more than half of what tier 0 holds."""

    def build(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(OraclePolicy(self.k, given.future(), given.n_streams))


class Oracle(Record):
    """How far it looks, in parts of a block, and may look at most; where the trace has come to; where it has looked.

    Addresses: ``keys`` has the block of each access; ``before`` the number of the access before of the same block, from
    1, or 0; of those that no fetch helps -1 less that. ``next`` has for each stream its first access that was not
    shown, and where there are several ``following`` for each access the next of its stream, which is in ``stream``.
    """

    n: int
    n_streams: int
    reach: int
    furthest: int
    shown: int
    seen: int
    keys: int
    before: int
    next: int
    following: int
    stream: int


_oracle_at = view(Oracle)
_NEAR = 16
# Accesses looked through for each block: most may be of blocks that have come already.
_LOOKED_THROUGH = 16
# An eighth less for what is pushed out, a block more for 64 that are used: what does not fit is tried for seldom.
_PARTS, _LESS = 64, 8
_TIMELY, _LATE, _EVICTED_UNUSED = int(Fate.TIMELY), int(Fate.LATE), int(Fate.EVICTED_UNUSED)


@internal
def _hear(it: Oracle, fate: int) -> None:
    """Look less far where what was fetched is pushed out before it is used, and slowly further where it is used."""
    if fate == _EVICTED_UNUSED:
        it.reach = max(_PARTS, it.reach - it.reach // _LESS)
    elif fate in (_TIMELY, _LATE):
        it.reach = min(it.furthest, it.reach + 1)


def _learn(state: Ints, key: int, stream: int, outcome: int) -> None:
    """The trace has come so far."""
    it = _oracle_at(state, START)
    if outcome <= HEARD:
        _hear(it, HEARD - outcome)
        return
    nexts = ints_at(it.next)
    if stream >= it.n_streams or nexts[stream] == it.n:
        return
    at = nexts[stream]
    it.shown = max(it.shown, at + 1)
    nexts[stream] = ints_at(it.following)[at] if it.n_streams > 1 else at + 1


@internal
def _is_first(before: int, shown: int) -> bool:
    """Whether the access before of the same block was shown."""
    return (before if before >= 0 else -1 - before) <= shown


@internal
def _behind(it: Oracle, stream: int, keys: Ints, confidences: Floats) -> int:
    """What a stream needs next that lags behind the trace."""
    every, before, following = ints_at(it.keys), ints_at(it.before), ints_at(it.following)
    at = first = ints_at(it.next)[stream]
    n = n_seen = 0
    most = min(_NEAR, it.reach // _PARTS) if first < it.shown else 0
    while n_seen < most and at < it.n:
        if _is_first(before[at], first):
            n_seen += 1
            if before[at] >= 0:
                keys[n], confidences[n] = every[at], 1.0
                n += 1
        at = following[at]
    return n


def _want(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """What is read next."""
    it = _oracle_at(state, START)
    every, before, at, reach = ints_at(it.keys), ints_at(it.before), it.shown, it.reach // _PARTS
    n = n_seen = 0
    several = it.n_streams > 1
    if several and stream < it.n_streams:
        n = _behind(it, stream, keys, confidences)
    end = min(it.n, at + _LOOKED_THROUGH * reach)
    while n_seen < reach and at < end:
        lags = several and ints_at(it.next)[ints_at(it.stream)[at]] < it.shown
        if not lags and _is_first(before[at], it.shown):
            n_seen += 1
            if before[at] >= 0 and (n_seen <= _NEAR or at >= it.seen):
                keys[n], confidences[n] = every[at], 1.0
                n += 1
        at += 1
    it.seen = max(it.seen, at)
    return n


class OraclePolicy(CompiledPolicy):
    """Knows the demand, and how far it has come."""

    def __init__(self, k: int, demand: Demand, n_streams: int) -> None:
        n = len(demand.keys)
        every = demand.keys.view(np.int64)
        order, same = _by(every)
        before = np.zeros(n, np.int64)
        before[order[1:][same]] = order[:-1][same] + 1
        before[~demand.reads] = -1 - before[~demand.reads]
        self._arrays = {"keys": every, "before": before, "next": np.zeros(1, np.int64)}
        if n_streams > 1:
            self._arrays |= _of_streams(demand.stream.astype(np.int64), n_streams)
        state = np.zeros(Oracle.words, np.int64)
        it, reach = Oracle(state, 0), max(1, min(k, demand.room // 2))
        for name, array in self._arrays.items():
            setattr(it, name, address_of(array))
        it.n, it.n_streams, it.reach, it.furthest = n, n_streams, _PARTS * reach, _PARTS * reach
        super().__init__("access", state, _learn, _want, reach + _NEAR, Ahead(of_stream=False), hears=True)


def _by(numbers: Ints) -> tuple[Ints, Ints]:
    """The order by number, and whether each but the first has the number of the one before."""
    order = np.argsort(numbers, kind="stable")
    return order, numbers[order[1:]] == numbers[order[:-1]]


def _of_streams(stream: Ints, n_streams: int) -> dict[str, Ints]:
    n = len(stream)
    order, same = _by(stream)
    following, first = np.full(n, n, np.int64), np.full(n_streams, n, np.int64)
    following[order[:-1][same]] = order[1:][same]
    begins = order[np.flatnonzero(np.concatenate([np.ones(min(n, 1), bool), ~same]))]
    first[stream[begins]] = begins
    return {"next": first, "following": following, "stream": stream}
