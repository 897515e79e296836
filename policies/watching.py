"""What slots have named, watched until it comes or is due: so each slot has a moving precision (ours).

A slot is whatever is to be judged: a rank of a policy's answers, say. Each block that one names, fetched or not, is
watched for the next ``window`` accesses. Where it is read it counts as 1; where it does not come, or its reader had to
wait for it all the same, as 0; where it is written as -1, and as -2 if its writer had to wait.
"""

from typing import Any

import numpy as np

from simulator.answers import OUTCOME, WRITTEN
from simulator.arrays import spot
from simulator.compiled import address_of, floats_at, internal, ints_at
from simulator.policy import Outcome
from simulator.records.record import Record, nth
from simulator.records.rows import START

PRIOR_COUNT = 4
_LATE, _MERGED = int(Outcome.LATE), int(Outcome.MERGED)


class Named(Record):
    """A block that a slot named: until which access it may come; the next one in the bucket; whether it is watched."""

    key: int
    slot: int
    due: int
    next: int
    is_open: int


class Watch(Record):
    """A ring of ``room`` places, of which ``n`` from ``first`` on are in use, and buckets of those that are watched.

    ``now`` is how many accesses there were. All from ``ring`` on are addresses: of the ring, of a bucket's first place
    plus one, of each slot's precision and of how much it counts, and of the weight.
    """

    window: int
    now: int
    first: int
    n: int
    room: int
    mask: int
    ring: int
    buckets: int
    precisions: int
    counts: int
    weight: int


_nth_named = nth(Named)


def set_up(it: Watch, n_slots: int, window: int, most_named: int, prior: float, weight: float) -> dict[str, Any]:
    """Make room for up to ``most_named`` blocks an access; what it returns must live as long as ``it`` does."""
    room = most_named * (window + 1)
    n_buckets = 1 << (2 * room).bit_length()
    arrays = {
        "ring": np.zeros(room * Named.words, np.int64), "buckets": np.zeros(n_buckets, np.int64),
        "precisions": np.full(n_slots, prior), "counts": np.full(n_slots, float(PRIOR_COUNT)),
        "weight": np.array([weight]),
    }  # fmt: skip
    for name, array in arrays.items():
        setattr(it, name, address_of(array))
    it.window, it.room, it.mask = window, room, n_buckets - 1
    return arrays


@internal
def _named(it: Watch, place: int) -> Named:
    return _nth_named(ints_at(it.ring), START, place)


@internal
def _close(it: Watch, place: int, worth: float) -> None:
    """Judge what is watched, and take it out of its bucket."""
    one = _named(it, place)
    one.is_open = 0
    precisions, counts, weight = floats_at(it.precisions), floats_at(it.counts), floats_at(it.weight)[0]
    # At first the plain mean: what is wrong from the start is soon known.
    counts[one.slot] += 1.0
    precisions[one.slot] += max(weight, 1.0 / counts[one.slot]) * (worth - precisions[one.slot])
    buckets, at = ints_at(it.buckets), spot(one.key, it.mask)
    # Places are kept plus one: 0 is none.
    if buckets[at] == place + 1:
        buckets[at] = one.next
        return
    before = _named(it, buckets[at] - 1)
    while before.next != place + 1:
        before = _named(it, before.next - 1)
    before.next = one.next


@internal
def _forget_first(it: Watch) -> None:
    """What was named first has not come, if it is still watched."""
    if _named(it, it.first).is_open:
        _close(it, it.first, 0.0)
    it.first = it.first + 1 if it.first + 1 < it.room else 0
    it.n -= 1


@internal
def _worth(outcome: int) -> float:
    """What it was worth to have named the block of an access, by its outcome as one that ``sees_writes`` is shown it.

    A written block needs no fetch, and one that is under way makes its writer wait as long as a right one saves, or
    longer where blocks queue. A late one saves something of its reader's time or, where blocks queue, costs some.
    """
    is_late = outcome & OUTCOME in (_LATE, _MERGED)
    if outcome & WRITTEN != 0:
        return -2.0 if is_late else -1.0
    return 0.0 if is_late else 1.0


@internal
def settle(it: Watch, key: int, outcome: int) -> None:
    """The next access: all that named its block are judged by its outcome; what is due by now was wrong."""
    it.now += 1
    place = ints_at(it.buckets)[spot(key, it.mask)]
    while place != 0:
        one = _named(it, place - 1)
        following = one.next
        if one.key == key:
            _close(it, place - 1, _worth(outcome))
        place = following
    while it.n > 0 and _named(it, it.first).due <= it.now:
        _forget_first(it)


@internal
def watch(it: Watch, key: int, slot: int) -> None:
    """A slot has named a block."""
    if it.n == it.room:
        _forget_first(it)
    place = it.first + it.n
    place = place - it.room if place >= it.room else place
    it.n += 1
    one = _named(it, place)
    buckets, at = ints_at(it.buckets), spot(key, it.mask)
    one.key, one.slot, one.due, one.is_open = key, slot, it.now + it.window, 1
    one.next = buckets[at]
    buckets[at] = place + 1
