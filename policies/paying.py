"""From which precision on a prefetch pays, in a system as loaded as it turns out to be.

Ours. Before the run a wrong block is thought to cost what ``policies.timing`` estimates. While running, what is heard
replaces that: how many misses prefetching caused, as shadow tags tell, for each block that was fetched;
and which share of the right ones came late, as where the links are as busy as that. A wrong block then keeps
others waiting for longer, as in a queue with one server: load / (1 - load) times what it occupies.

A policy has the rule inside its own state (``Paying``), or beside it, shared by Python and compiled code (``Rule``).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from policies.timing import Timing
from simulator.answers import HEARD, POLLUTED
from simulator.arrays import Ints
from simulator.compiled import address_of, compiled, floats_at, internal, ints_at
from simulator.policy import Fate, Told
from simulator.records.record import Record, view
from simulator.records.rows import START

_TIMELY, _LATE, _EVICTED_UNUSED = int(Fate.TIMELY), int(Fate.LATE), int(Fate.EVICTED_UNUSED)
PRIOR = 64
"""The estimate counts as so many blocks; so many right ones are thought to have come in time."""
MEMORY = 4096
"""All counts are halved when so many fates were heard."""
_FETCH, _WRONG, _OCCUPIED, _FIXED = range(4)


class Paying(Record):
    """What was heard; ``numbers`` is the address of what was estimated (``numbers_of``)."""

    numbers: int
    n_timely: int
    n_late: int
    n_wrong: int
    n_polluted: int


paying_at: Any = view(Paying)


def numbers_of(timing: Timing | None, threshold: float) -> npt.NDArray[np.float64]:
    """What the rule starts with (4,): times in ns, or without a timing the one threshold that always holds."""
    if timing is None:
        return np.array([0.0, 0.0, 0.0, threshold])
    return np.array([timing.fetch_ns, timing.wrong_ns, timing.occupied_ns, -1.0])


@internal
def hear(it: Paying, key: int, outcome: int) -> None:
    """News, as ``simulator.answers`` shows it to a table that hears: how many misses, or a fate of what was fetched."""
    fate = HEARD - outcome
    if outcome == POLLUTED:
        it.n_polluted += key
    elif fate == _TIMELY:
        it.n_timely += 1
    elif fate == _LATE:
        it.n_late += 1
    elif fate == _EVICTED_UNUSED:
        it.n_wrong += 1
    if it.n_timely + it.n_late + it.n_wrong >= MEMORY:
        it.n_timely //= 2
        it.n_late //= 2
        it.n_wrong //= 2
        it.n_polluted //= 2


@internal
def least(it: Paying) -> float:
    """The precision p from which on a prefetch pays: p * fetch = (1 - p) * wrong."""
    numbers = floats_at(it.numbers)
    if numbers[_FIXED] >= 0.0:
        return numbers[_FIXED]
    fetch = numbers[_FETCH]
    # Right ones push out as many, but what they push out a fetch on demand would have.
    n_fetched = it.n_timely + it.n_late + it.n_wrong
    wrong = (it.n_polluted * fetch + PRIOR * numbers[_WRONG]) / (n_fetched + PRIOR)
    # The share of late ones, over that of the others.
    wrong += numbers[_OCCUPIED] * it.n_late / (it.n_timely + PRIOR)
    return wrong / (fetch + wrong) if fetch + wrong > 0.0 else 0.0


@compiled
def _hear_all(rule: int, fates: Ints, n_polluted: int) -> None:
    it = paying_at(ints_at(rule), START)
    for i in range(len(fates)):
        hear(it, 0, HEARD - fates[i])
    if n_polluted > 0:
        hear(it, n_polluted, POLLUTED)


@compiled
def _least_of(rule: int) -> float:
    return least(paying_at(ints_at(rule), START))


class Rule:
    """The rule of one policy in one run. It ``hears`` where it goes by a timing; without one its threshold stays.

    ``address`` is where compiled code finds its ``Paying``, for as long as it lives.
    """

    def __init__(self, threshold: float, timing: Timing | None = None) -> None:
        self.hears = timing is not None
        self._threshold = threshold
        self._numbers = numbers_of(timing, threshold)
        self._state: Ints = np.zeros(Paying.words, np.int64)
        Paying(self._state, 0).numbers = address_of(self._numbers)
        self.address = address_of(self._state)

    def told(self, told: Told) -> None:
        """Hear what became of earlier proposals."""
        _hear_all(self.address, np.array(told.fates, np.int64), told.n_polluted)

    def least(self) -> float:
        """The precision from which on a prefetch pays."""
        return float(_least_of(self.address)) if self.hears else self._threshold

    @property
    def heard(self) -> dict[str, int]:
        """What it goes by."""
        return heard_of(Paying(self._state, 0))


def heard_of(it: Paying) -> dict[str, int]:
    """The counts."""
    return {name: int(getattr(it, name)) for name in ("n_timely", "n_late", "n_wrong", "n_polluted")}
