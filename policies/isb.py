"""Irregular stream buffer: blocks that follow each other in a stream get neighbouring structural addresses.

Jain & Lin, "Linearizing Irregular Memory Accesses for Improved Correlated Prefetching", MICRO 2013. A stream stands
where the paper has the instruction. Both maps are one table with a bound in place of on-chip caches that follow the
TLB.
"""

from typing import Annotated, Literal

from pydantic import Field

from policies import rows
from policies.base import CompiledPolicy, Degree, TableSettings, TriggerName
from policies.given import Built, Given
from policies.rows import FIELDS, KEY
from simulator.answers import Floats
from simulator.arrays import NONE, Ints
from simulator.compiled import internal
from simulator.config import Count


class IsbConfig(TableSettings):
    """The next blocks in an order learned from the stream, however scattered (Jain & Lin 2013)."""

    kind: Literal["isb"]
    chunk: Annotated[int, Field(ge=2, le=2**20)] = 256
    """Structural addresses that a new stream is given at once."""
    counter_bits: Annotated[int, Field(ge=1, le=16)] = 2
    """Bits of the counter that says how far a block's structural address is believed."""
    degree: Degree = 4
    """Blocks ahead, in structural order."""
    entries: Count = 65536
    """Blocks that have a structural address."""
    streams: Count = 1024
    """Streams whose last block is remembered."""
    trigger: TriggerName = "tagged"
    """When it is asked: at every `access`, at a `miss`, or `tagged`: at misses and first uses of prefetched blocks."""

    def fresh(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(IsbPolicy(self))


# The state: settings, the first place of the next chunk, where two of the tables lie: structural address (place) and
# confidence of each key, and the key at each place. The third has the last key of each stream.
_CHUNK, _MOST, _DEGREE, _NEXT_CHUNK, _PLACES, _KEYS, _STREAMS = range(7)
_PLACE, _CONFIDENCE = FIELDS, FIELDS + 1
_KEY_AT, _LAST = FIELDS, FIELDS


@internal
def _leave(state: Ints, row: int) -> None:
    """Nobody is any more at the place of that key."""
    at = rows.peek(state, state[_KEYS], state[row + _PLACE])
    if at != NONE and state[at + _KEY_AT] == state[row + KEY]:
        rows.remove(state, state[_KEYS], at)


@internal
def _put(state: Ints, key: int, place: int) -> None:
    """A key gets a place, which it is sure of; another one that was there has none."""
    row = rows.peek(state, state[_PLACES], key)
    if row != NONE:
        _leave(state, row)
    at = rows.peek(state, state[_KEYS], place)
    if at != NONE and state[at + _KEY_AT] != key:
        taken = rows.peek(state, state[_PLACES], state[at + _KEY_AT])
        if taken != NONE:
            rows.remove(state, state[_PLACES], taken)
    if row == NONE and rows.is_full(state, state[_PLACES]):
        _leave(state, rows.oldest(state, state[_PLACES]))
    row = rows.put(state, state[_PLACES], key)
    state[row + _PLACE], state[row + _CONFIDENCE] = place, state[_MOST]
    at = rows.put(state, state[_KEYS], place)
    state[at + _KEY_AT] = key


@internal
def _new_chunk(state: Ints) -> int:
    place = state[_NEXT_CHUNK]
    state[_NEXT_CHUNK] += state[_CHUNK]
    return place


@internal
def _doubts(state: Ints, key: int) -> bool:
    """Believe a key's place less; whether it is believed no more."""
    row = rows.peek(state, state[_PLACES], key)
    if row == NONE or state[row + _CONFIDENCE] == 0:
        return True
    state[row + _CONFIDENCE] -= 1
    rows.touch(state, state[_PLACES], row)
    return False


@internal
def _follows(state: Ints, last: int, key: int) -> None:
    """B's place is behind A's, unless B is believed to be elsewhere."""
    row = rows.use(state, state[_PLACES], last)
    if row == NONE:
        place = _new_chunk(state)
        _put(state, last, place)
    else:
        place = state[row + _PLACE]
    place += 1
    if place % state[_CHUNK] == 0:
        place = _new_chunk(state)
    row = rows.use(state, state[_PLACES], key)
    if row == NONE:
        # A place that another key holds goes to the new one when that one is believed no more.
        holder = rows.peek(state, state[_KEYS], place)
        if holder == NONE or _doubts(state, state[holder + _KEY_AT]):
            _put(state, key, place)
    elif state[row + _PLACE] == place:
        state[row + _CONFIDENCE] = min(state[row + _CONFIDENCE] + 1, state[_MOST])
    elif _doubts(state, key):
        _put(state, key, place)


def _learn(state: Ints, key: int, stream: int, outcome: int) -> None:
    """The stream's last key is followed by this one."""
    row = rows.use(state, _STREAMS, stream)
    if row == NONE:
        row = rows.put(state, _STREAMS, stream)
        state[row + _LAST] = key
        return
    last = state[row + _LAST]
    state[row + _LAST] = key
    if last != key:
        _follows(state, last, key)


def _want(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """The keys at the places behind, to the end of the chunk."""
    row = rows.peek(state, state[_PLACES], key)
    if row == NONE:
        return 0
    place, n = state[row + _PLACE], 0
    left = state[_CHUNK] - 1 - place % state[_CHUNK]
    for i in range(1, 1 + min(state[_DEGREE], left)):
        at = rows.peek(state, state[_KEYS], place + i)
        if at != NONE:
            keys[n], confidences[n] = state[at + _KEY_AT], 1.0
            n += 1
    return n


class IsbPolicy(CompiledPolicy):
    """Structural address and confidence of each key, and the way back."""

    def __init__(self, config: IsbConfig) -> None:
        places = _STREAMS + rows.words(config.streams, 1)
        keys = places + rows.words(config.entries, 2)
        state = rows.state(keys + rows.words(config.entries, 1))
        state[:_STREAMS] = config.chunk, 2**config.counter_bits - 1, config.degree, 0, places, keys
        rows.setup(state, _STREAMS, config.streams, 1)
        rows.setup(state, places, config.entries, 2)
        rows.setup(state, keys, config.entries, 1)
        super().__init__(config.trigger, state, _learn, _want, most_wanted=config.degree)
