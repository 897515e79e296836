"""From which precision on a prefetch pays, in a system as loaded as it turns out to be.

Ours. Before the run a wrong block is thought to cost what ``policies.timing`` estimates. While running, what is heard
replaces that: how many misses there were on blocks that prefetches had evicted, for each block that was fetched in
vain; and which share of the right ones came late, as where the links are as busy as that. A wrong block then keeps
others waiting for longer, as in a queue with one server: load / (1 - load) times what it occupies.
"""

import numpy as np
import numpy.typing as npt

from policies.timing import Timing
from simulator.compiled import floats_at, internal
from simulator.policy import Fate
from simulator.records.record import Record

_TIMELY, _LATE, _EVICTED_UNUSED = int(Fate.TIMELY), int(Fate.LATE), int(Fate.EVICTED_UNUSED)
PRIOR = 64
"""The estimate counts as so many wrong blocks; so many right ones are thought to have come in time."""
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


def numbers_of(timing: Timing | None, threshold: float) -> npt.NDArray[np.float64]:
    """What the rule starts with (4,): times in ns, or without a timing the one threshold that always holds."""
    if timing is None:
        return np.array([0.0, 0.0, 0.0, threshold])
    return np.array([timing.fetch_ns, timing.wrong_ns, timing.occupied_ns, -1.0])


@internal
def hear_fate(it: Paying, fate: int) -> None:
    """A fate of what was fetched."""
    if fate == _TIMELY:
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
    wrong = (it.n_polluted * fetch + PRIOR * numbers[_WRONG]) / (it.n_wrong + PRIOR)
    # The share of late ones, over that of the others.
    wrong += numbers[_OCCUPIED] * it.n_late / (it.n_timely + PRIOR)
    return wrong / (fetch + wrong) if fetch + wrong > 0.0 else 0.0
