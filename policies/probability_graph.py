"""Probability graph: how often a block was opened within a few accesses after another.

Griffioen & Appleton, "Reducing File System Latency using a Predictive Approach", USENIX Summer 1994. The paper's graph
of files grows with them; here blocks that were not used for long are forgotten, and each keeps its most frequent
successors.
"""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from policies import rows
from policies.base import CompiledPolicy, Degree, TableSettings, TriggerName
from policies.given import Built, Given
from policies.rows import FIELDS
from simulator.answers import Floats
from simulator.arrays import NONE, Ints, minus, spot, times
from simulator.compiled import internal
from simulator.config import Count
from simulator.policy import Ahead


class ProbabilityGraphConfig(TableSettings):
    """Blocks that often came within a few accesses after this one (Griffioen & Appleton 1994)."""

    kind: Literal["probability_graph"]
    lookahead: Count = 20
    """Accesses within which a block counts as following another."""
    min_probability: Annotated[float, Field(gt=0, le=1)] = 0.05
    """Share of a block's uses that another must have followed to be asked for (the minimum chance)."""
    degree: Degree = 4
    """Blocks to ask for, at most."""
    entries: Count = 16384
    """Blocks of the graph."""
    successors: Count = 32
    """Successors counted of each."""
    trigger: TriggerName = "access"
    """When it is asked: at every `access`, at a `miss`, or `tagged`: at misses and first uses of prefetched blocks."""

    def fresh(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(ProbabilityGraphPolicy(self))


# The state: settings (the probability as its bits), how many accesses there were, where the ring of the last ones lies,
# each with its row, how many words the tags and the places of a row are, then a row for each block: the access that
# counted it last, how often it was accessed, how many edges it has and ever had, and of those that were followed once,
# from the one made first on, where they begin in a ring and how many they are. Behind that come a byte of the hash of
# each edge's key, that ring of places, the keys and the ranks. A rank is how often an edge was followed, times 2^32,
# less the number by which it was made: of two edges the better one has the higher rank, and of those followed alike
# that is the older one. The ring has eight places to a word, or one where there are too many. It begins once a row is
# full.
(
    _LOOKAHEAD, _DEGREE, _SUCCESSORS, _PROBABILITY, _N_SEEN, _WINDOW, _TAG_WORDS, _RING_SHIFT, _RING_WORDS, _GRAPH,
) = range(10)  # fmt: skip
_COUNTED, _ACCESSES, _N, _N_MADE, _ONCE, _N_ONCE, _TAGS = range(FIELDS, FIELDS + 7)
_ONE = 1 << 32
_FIRSTS, _LASTS = 0x0101010101010101, -0x7F7F7F7F7F7F7F80  # the first and the last bits of eight bytes


@internal
def _followed(rank: int) -> int:
    """How often the edge of a rank was followed."""
    return (rank + _ONE - 1) >> 32


@internal
def _tags(state: Ints, row: int) -> int:
    return row + _TAGS


@internal
def _ring(state: Ints, row: int) -> int:
    return row + _TAGS + state[_TAG_WORDS]


@internal
def _edges(state: Ints, row: int) -> int:
    return row + _TAGS + state[_TAG_WORDS] + state[_RING_WORDS]


@internal
def _place_in(state: Ints, ring: int, at: int) -> int:
    """What stands in a ring of places."""
    shift = state[_RING_SHIFT]
    if shift == 0:
        return state[ring + at]
    return (state[ring + (at >> shift)] >> ((at & 7) << 3)) & 0xFF


@internal
def _write_byte(state: Ints, words: int, at: int, bytes_: int) -> None:
    """Write one of eight bytes that are alike into words, as byte ``at`` of all."""
    mask, word = times(0xFF, int(np.int64(1) << ((at & 7) << 3))), words + (at >> 3)
    state[word] = (state[word] & ~mask) | (bytes_ & mask)


@internal
def _write_place(state: Ints, ring: int, at: int, place: int) -> None:
    """Put a place into a ring."""
    if state[_RING_SHIFT] == 0:
        state[ring + at] = place
    else:
        _write_byte(state, ring, at, times(place, _FIRSTS))


@internal
def _find(state: Ints, row: int, tags: int, key: int) -> int:
    """Which of a row's edges leads to a key, or NONE; ``tags`` has the key's tag in each of its bytes."""
    n, edges, first = state[row + _N], _edges(state, row), _tags(state, row)
    for word in range((n + 7) >> 3):
        # Bytes that are equal become 0, and to take 1 away borrows from their last bits.
        other = state[first + word] ^ tags
        if minus(other, _FIRSTS) & ~other & _LASTS != 0:
            for place in range(8 * word, min(8 * word + 8, n)):
                if state[edges + place] == key:
                    return place
    return NONE


@internal
def _rarest(state: Ints, row: int, ranks: int, ring: int) -> int:
    """The edge of a full row that goes: the rarest, of these the first made."""
    size = state[_SUCCESSORS]
    if state[row + _N_MADE] == size:
        for place in range(size):
            _write_place(state, ring, place, place)
        state[row + _N_ONCE] = size
    # None is rarer than one that was followed once. Those that were followed again meanwhile are still in the ring.
    n = state[row + _N_ONCE]
    at = state[row + _ONCE]
    while n > 0:
        place = _place_in(state, ring, at)
        at = at + 1 if at + 1 < size else 0
        n -= 1
        if state[ranks + place] < _ONE:
            state[row + _ONCE], state[row + _N_ONCE] = at, n
            return place
    state[row + _ONCE] = state[row + _N_ONCE] = gone = 0
    for place in range(1, size):
        rank, least = state[ranks + place], state[ranks + gone]
        if _followed(rank) < _followed(least) or (_followed(rank) == _followed(least) and rank > least):
            gone = place
    return gone


@internal
def _count(state: Ints, row: int, tags: int, key: int) -> None:
    """One more on the edge to a key; a new one may take the place of the rarest, the first made of these."""
    size = state[_SUCCESSORS]
    edges, ring = _edges(state, row), _ring(state, row)
    ranks = edges + size
    place = _find(state, row, tags, key)
    if place != NONE:
        state[ranks + place] += _ONE
        return
    place = state[row + _N]
    if place < size:
        state[row + _N] += 1
    else:
        place = _rarest(state, row, ranks, ring)
        at = state[row + _ONCE] + state[row + _N_ONCE]
        _write_place(state, ring, at if at < size else at - size, place)
        state[row + _N_ONCE] += 1
    state[row + _N_MADE] += 1
    state[edges + place], state[ranks + place] = key, _ONE - state[row + _N_MADE]
    _write_byte(state, _tags(state, row), place, tags)


def _learn(state: Ints, key: int, stream: int, outcome: int) -> None:
    """An edge from every other block of the window to this one."""
    now, size = state[_N_SEEN], state[_LOOKAHEAD]
    state[_N_SEEN] += 1
    tags = times(spot(key, 0xFF), _FIRSTS)
    for i in range(min(now, size)):
        at = state[_WINDOW] + 2 * i
        other, row = state[at], state[at + 1]
        if other == key:
            continue
        if state[row + rows.KEY] != other:
            # Another block has its row by now.
            row = rows.peek(state, _GRAPH, other)
        # A block counts once, however often the window has it.
        if row != NONE and state[row + _COUNTED] != now + 1:
            state[row + _COUNTED] = now + 1
            _count(state, row, tags, key)
    row = rows.put(state, _GRAPH, key)
    state[row + _ACCESSES] += 1
    at = state[_WINDOW] + 2 * (now % size)
    state[at], state[at + 1] = key, row


@internal
def _enough(state: Ints, row: int) -> int:
    """How often an edge of a row must have been followed to be asked for."""
    least, n = np.int64(state[_PROBABILITY]).view(np.float64), state[row + _ACCESSES]
    # The share decides, rounded as it is: this is near.
    enough = np.int64(least * n)
    while enough > 0 and (enough - 1) / n >= least:
        enough -= 1
    while enough / n < least:
        enough += 1
    return int(enough)


def _want(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """The likeliest successors, by edges for each access of this block."""
    row = rows.peek(state, _GRAPH, key)
    if row == NONE:
        return 0
    degree, edges = state[_DEGREE], _edges(state, row)
    ranks = edges + state[_SUCCESSORS]
    # Of ranks less than this one, no edge is likely enough.
    least = (_enough(state, row) << 32) - _ONE + 1
    n = 0
    for place in range(state[row + _N]):
        rank = state[ranks + place]
        if rank < least or (n == degree and rank < state[ranks + keys[n - 1]]):
            continue
        # With one too many the last goes.
        at = n if n < degree else n - 1
        n = at + 1
        while at > 0 and state[ranks + keys[at - 1]] < rank:
            keys[at] = keys[at - 1]
            at -= 1
        keys[at] = place
    for i in range(n):
        place = keys[i]
        keys[i] = state[edges + place]
        confidences[i] = min(_followed(state[ranks + place]) / state[row + _ACCESSES], 1.0)
    return n


class ProbabilityGraphPolicy(CompiledPolicy):
    """For each block how often it was accessed, and how often each other one came within the lookahead."""

    def __init__(self, config: ProbabilityGraphConfig) -> None:
        tag_words = -(-config.successors // 8)
        ring_words, shift = (tag_words, 3) if config.successors <= 256 else (config.successors, 0)
        n_fields = _TAGS - FIELDS + tag_words + ring_words + 2 * config.successors
        window = _GRAPH + rows.words(config.entries, n_fields)
        state = rows.state(window + 2 * config.lookahead)
        state[_LOOKAHEAD], state[_DEGREE], state[_SUCCESSORS] = config.lookahead, config.degree, config.successors
        state[_PROBABILITY], state[_WINDOW] = np.float64(config.min_probability).view(np.int64), window
        state[_TAG_WORDS], state[_RING_WORDS], state[_RING_SHIFT] = tag_words, ring_words, shift
        rows.setup(state, _GRAPH, config.entries, n_fields)
        super().__init__(config.trigger, state, _learn, _want, config.degree, Ahead(of_stream=False))
