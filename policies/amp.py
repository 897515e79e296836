"""AMP: for each sequential stream how much to prefetch, and how early, both learned.

Gill & Bathen, "AMP: Adaptive Multi-stream Prefetching in a Shared Cache", FAST 2007. The degree p grows by a block
when the last of a batch is used, and shrinks by one when a block of the stream is evicted unused. While p is at most
``asynchronous_above``, a batch is asked for when the one before is used up; above, when g blocks of it are left. The
trigger distance g begins at half of that, grows when a block comes late, and follows p down. Streams are told apart by
their keys, whoever asks; the paper keeps p and g in the cache's pages, here a table has the streams used last. Leaves
out the second round that the paper grants unused blocks in the cache.
"""

from typing import Annotated, Literal

from pydantic import Field

from policies import rows
from policies.base import CompiledPolicy, Degree, TableSettings, TriggerName
from policies.given import Built, Given
from policies.keys import behind, gap
from policies.rows import FIELDS
from simulator.answers import HEARD, Floats
from simulator.arrays import NONE, Ints, minus, plus
from simulator.compiled import internal
from simulator.config import Count
from simulator.policy import Ahead, Fate


class AmpConfig(TableSettings):
    """Sequential streams, each with a degree and a trigger distance of its own (Gill & Bathen 2007)."""

    kind: Literal["amp"]
    streams: Count = 64
    """Sequential streams followed at once."""
    run: Annotated[int, Field(ge=1, le=64)] = 2
    """Blocks in order that begin a stream."""
    degree: Degree = 1
    """Blocks of a new stream's first batch (p)."""
    asynchronous_above: Count = 4
    """Up to this degree the next batch is asked for when the last is used up, above it earlier."""
    max_degree: Degree = 256
    """The largest batch."""
    trigger: TriggerName = "access"
    """When it is asked: at every `access`, at a `miss`, or `tagged`: at misses and first uses of prefetched blocks."""

    def fresh(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(AmpPolicy(self))


# The state: settings, how many streams there ever were, the blocks wanted now (the key that asks, how many behind it
# were prefetched before, how many more), then the streams by number. A stream has the last block used, how far behind
# it the last one prefetched is, the length of its run, p and g, and the ends of the batches that are not used up.
(
    _RUN, _DEGREE, _ASYNCHRONOUS_ABOVE, _MAX_DEGREE, _N_MADE, _KEY, _KNOWN, _COUNT, _STREAMS,
) = range(9)  # fmt: skip
_LAST, _AHEAD, _LENGTH, _P, _G, _N_ENDS, _ENDS = range(FIELDS, FIELDS + 7)
_LATE, _EVICTED_UNUSED = int(Fate.LATE), int(Fate.EVICTED_UNUSED)


@internal
def _stream_of(state: Ints, key: int) -> int:
    """The stream that the key is next in, or was prefetched for, or a new one; NONE where it is a stream's last."""
    row, is_last = rows.oldest(state, _STREAMS), False
    while row != NONE:
        step = gap(key, state[row + _LAST])
        if 0 < step <= max(state[row + _AHEAD], 1):
            rows.touch(state, _STREAMS, row)
            return row
        is_last = is_last or step == 0
        row = rows.newer(state, row)
    if is_last:
        return NONE
    row = rows.put(state, _STREAMS, state[_N_MADE])
    state[_N_MADE] += 1
    state[row + _LAST], state[row + _P] = key, state[_DEGREE]
    return row


@internal
def _is_end(state: Ints, row: int, key: int) -> bool:
    """Forget the ends of the batches that are used up; whether the key is one."""
    n, is_end = 0, False
    for i in range(state[row + _N_ENDS]):
        left = minus(state[row + _ENDS + i], key)
        is_end = is_end or left == 0
        if left > 0:
            state[row + _ENDS + n] = state[row + _ENDS + i]
            n += 1
    state[row + _N_ENDS] = n
    return is_end


@internal
def _hear(state: Ints, key: int, fate: int) -> None:
    """Late: ask earlier. Evicted unused: ask for less."""
    if fate not in (_LATE, _EVICTED_UNUSED):
        return
    row = rows.oldest(state, _STREAMS)
    while row != NONE:
        if 0 <= state[row + _AHEAD] - gap(key, state[row + _LAST]) < 2 * state[_MAX_DEGREE]:
            if fate == _LATE:
                state[row + _G] = min(state[row + _G] + 1, state[row + _P] - 1)
            else:
                state[row + _P] = max(state[row + _P] - 1, 1)
                state[row + _G] = min(state[row + _G], state[row + _P] - 1)
            return
        row = rows.newer(state, row)


def _learn(state: Ints, key: int, stream: int, outcome: int) -> None:
    """Go on with the key's stream, or begin one."""
    if outcome < 0:
        _hear(state, key, HEARD - outcome)
        return
    state[_COUNT] = 0
    row = _stream_of(state, key)
    if row == NONE:
        return
    state[row + _LENGTH] += 1
    if state[row + _LENGTH] == 1:
        return
    state[row + _AHEAD] = max(state[row + _AHEAD] - gap(key, state[row + _LAST]), 0)
    state[row + _LAST] = key
    if _is_end(state, row, key) or state[row + _LENGTH] == state[_RUN]:
        state[row + _P] = min(state[row + _P] + 1, state[_MAX_DEGREE])
        if state[row + _P] > state[_ASYNCHRONOUS_ABOVE] and state[row + _G] == 0:
            state[row + _G] = state[_ASYNCHRONOUS_ABOVE] // 2
    if state[row + _LENGTH] >= state[_RUN] and state[row + _AHEAD] <= state[row + _G]:
        state[_KEY], state[_KNOWN], state[_COUNT] = key, state[row + _AHEAD], state[row + _P]
        state[row + _AHEAD] += state[row + _P]
        state[row + _ENDS + state[row + _N_ENDS]] = plus(key, state[row + _AHEAD])
        state[row + _N_ENDS] += 1


def _want(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """The next batch of the key's stream, if it is time."""
    return behind(keys, confidences, state[_KEY], state[_KNOWN], state[_COUNT])


class AmpPolicy(CompiledPolicy):
    """Sequential streams, the one used longest ago first where several claim a key."""

    def __init__(self, config: AmpConfig) -> None:
        most = max(config.degree, config.max_degree)
        # A batch is asked for when at most g blocks are left, and g is less than p: there are no more ends than p.
        n_fields = _ENDS - FIELDS + most
        state = rows.state(_STREAMS + rows.words(config.streams, n_fields))
        state[:_N_MADE] = config.run, config.degree, config.asynchronous_above, config.max_degree
        rows.setup(state, _STREAMS, config.streams, n_fields)
        super().__init__(config.trigger, state, _learn, _want, most, Ahead(of_stream=False), hears=True)
