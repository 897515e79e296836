"""Global history buffer with delta correlation: what followed the last two steps when they came before.

Nesbit & Smith, "Data Cache Prefetching Using a Global History Buffer", HPCA 2004: G/DC (one history) and PC/DC, with
the stream in the place of the instruction. The buffer is a FIFO; entries of one index are linked, and only links to
entries that are still in the buffer are followed. What the paper finds by walking along these links is found by a hash
of the two steps.
"""

from typing import Literal

from policies import rows
from policies.base import CompiledPolicy, Degree, TableSettings, TriggerName
from policies.given import Built, Given
from policies.keys import crossing
from policies.rows import FIELDS
from simulator.answers import Floats
from simulator.arrays import NONE, Ints, minus, plus, spot, times
from simulator.compiled import internal
from simulator.config import Count
from simulator.policy import Ahead


class GhbConfig(TableSettings):
    """What followed the last two steps when they came before, globally or by stream (Nesbit & Smith 2004)."""

    kind: Literal["ghb"]
    index: Literal["global", "stream"] = "stream"
    """What is correlated: steps of all accesses (G/DC) or within each stream (PC/DC)."""
    entries: Count = 256
    """Accesses in the global history buffer, first in, first out."""
    index_entries: Count = 256
    """Lines of the index table."""
    degree: Degree = 4
    """Steps replayed from where the last two were seen before."""
    trigger: TriggerName = "tagged"
    """When it is asked: at every `access`, at a `miss`, or `tagged`: at misses and first uses of prefetched blocks."""

    def fresh(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(GhbPolicy(self))


_ODD = 0x632BE59BD9B4E019

# The state: settings, how many entries there ever were, how many chains, where the heads of pairs lie and their number
# less one, where the buffer lies, then the index. An entry is known by its number, and so is the newest of an index.
# The buffer is a ring; an entry has its key, the entries before and behind it in its chain, its last two steps where
# the buffer held what they lead from when it came, and the entry before it with the same hash of these.
_DEGREE, _ENTRIES, _BY_STREAM, _N_SEEN, _N_CHAINS, _HEADS, _MASK, _BUFFER, _INDEX = range(9)
_NEWEST, _CHAIN_ID = FIELDS, FIELDS + 1
_KEY, _LINK, _BEHIND, _CHAIN, _STEP, _STEP_BEFORE, _SAME = range(7)
_WORDS = 7


@internal
def _entry(state: Ints, number: int) -> int:
    """Where the entry of a number lies, which is in the buffer."""
    return state[_BUFFER] + _WORDS * (number % state[_ENTRIES])


@internal
def _gone(state: Ints) -> int:
    """The number of the oldest entry that is in the buffer."""
    return max(state[_N_SEEN] - state[_ENTRIES], 0)


@internal
def _pair(state: Ints, number: int, chain: int) -> None:
    """Enter the last two steps of a new entry among the pairs of steps, if the buffer still has both."""
    entry, gone = _entry(state, number), _gone(state)
    state[entry + _CHAIN] = NONE
    if state[entry + _LINK] < gone:
        return
    before = _entry(state, state[entry + _LINK])
    state[before + _BEHIND] = number
    if state[before + _LINK] < gone:
        return
    first = _entry(state, state[before + _LINK])
    state[entry + _CHAIN] = chain
    state[entry + _STEP] = minus(state[entry + _KEY], state[before + _KEY])
    state[entry + _STEP_BEFORE] = minus(state[before + _KEY], state[first + _KEY])
    # Each is hashed: small numbers, and chains are told apart.
    hashed = spot(state[entry + _STEP], -1) ^ times(state[entry + _STEP_BEFORE], _ODD) ^ chain
    head = state[_HEADS] + spot(hashed, state[_MASK])
    state[entry + _SAME] = state[head] - 1
    state[head] = number + 1


def _learn(state: Ints, key: int, stream: int, outcome: int) -> None:
    """A new entry, linked to the last one of its index."""
    index = stream if state[_BY_STREAM] else 0
    row = rows.use(state, _INDEX, index)
    link = NONE
    if row == NONE:
        row = rows.put(state, _INDEX, index)
        state[row + _CHAIN_ID] = state[_N_CHAINS]
        state[_N_CHAINS] += 1
    else:
        link = state[row + _NEWEST]
    number = state[_N_SEEN]
    entry = _entry(state, number)
    state[entry + _KEY], state[entry + _LINK] = key, link
    state[row + _NEWEST] = number
    state[_N_SEEN] += 1
    _pair(state, number, state[row + _CHAIN_ID])


@internal
def _has_both(state: Ints, entry: int, gone: int) -> bool:
    """Whether the buffer still holds what the last two steps of an entry lead from."""
    if state[entry + _CHAIN] == NONE or state[entry + _LINK] < gone:
        return False
    return state[_entry(state, state[entry + _LINK]) + _LINK] >= gone


@internal
def _find(state: Ints, newest: int) -> int:
    """The latest earlier entry of the chain whose last two steps are those of the newest, or NONE."""
    gone = _gone(state)
    entry = _entry(state, newest)
    if newest < gone or not _has_both(state, entry, gone):
        return NONE
    number = state[entry + _SAME]
    while number >= gone:
        other = _entry(state, number)
        if (
            state[other + _STEP] == state[entry + _STEP]
            and state[other + _STEP_BEFORE] == state[entry + _STEP_BEFORE]
            and state[other + _CHAIN] == state[entry + _CHAIN]
        ):
            # What has left the buffer is not in it for older ones either.
            return number if _has_both(state, other, gone) else NONE
        number = state[other + _SAME]
    return NONE


def _want(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """Replay the deltas after that place. Where there is less than the degree, it goes round."""
    row = rows.peek(state, _INDEX, stream if state[_BY_STREAM] else 0)
    if row == NONE:
        return 0
    newest = state[row + _NEWEST]
    place = _find(state, newest)
    if place == NONE:
        return 0
    n, at, beyond, number = 0, key, 0, place
    for _ in range(state[_DEGREE]):
        entry = _entry(state, number)
        number = state[entry + _BEHIND]
        step = minus(state[_entry(state, number) + _KEY], state[entry + _KEY])
        if number == newest:
            number = place
        # Beyond the ends of the key space nothing is wanted, but a path may come back.
        beyond += crossing(at, step)
        at = plus(at, step)
        if beyond == 0:
            keys[n], confidences[n] = at, 1.0
            n += 1
    return n


class GhbPolicy(CompiledPolicy):
    """The buffer as the last entries of the trigger, numbered; an index entry has the number of its newest one."""

    def __init__(self, config: GhbConfig) -> None:
        n_heads = 2
        while n_heads < 2 * config.entries:
            n_heads *= 2
        heads = _INDEX + rows.words(config.index_entries, 2)
        buffer = heads + n_heads
        state = rows.state(buffer + _WORDS * config.entries)
        state[_DEGREE], state[_ENTRIES], state[_BY_STREAM] = config.degree, config.entries, config.index == "stream"
        state[_HEADS], state[_MASK], state[_BUFFER] = heads, n_heads - 1, buffer
        rows.setup(state, _INDEX, config.index_entries, 2)
        super().__init__(config.trigger, state, _learn, _want, config.degree, Ahead(of_stream=config.index == "stream"))
