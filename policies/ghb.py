"""Global history buffer with delta correlation: what followed the last two steps when they came before.

Nesbit & Smith, "Data Cache Prefetching Using a Global History Buffer", HPCA 2004: G/DC (one history) and PC/DC, with
the stream in the place of the instruction. The buffer is a FIFO; entries of one index are linked, and only links to
entries that are still in the buffer are followed.
"""

from typing import Literal

from policies import rows
from policies.base import CompiledPolicy, Degree, TableSettings, TriggerName
from policies.given import Built, Given
from policies.keys import crossing
from policies.rows import FIELDS
from simulator.answers import Floats
from simulator.arrays import NONE, Ints, minus, plus
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


# The state: settings, how many entries there ever were, where the buffer and the list of a chain's keys lie, then the
# index. The buffer is a ring of keys and links; an entry is known by its number, and so is the newest of an index.
_DEGREE, _ENTRIES, _BY_STREAM, _N_SEEN, _BUFFER, _CHAIN, _INDEX = range(7)
_NEWEST = FIELDS


def _learn(state: Ints, key: int, stream: int, outcome: int) -> None:
    """A new entry, linked to the last one of its index."""
    index = stream if state[_BY_STREAM] else 0
    row = rows.use(state, _INDEX, index)
    link = NONE
    if row == NONE:
        row = rows.put(state, _INDEX, index)
    else:
        link = state[row + _NEWEST]
    entry = state[_BUFFER] + 2 * (state[_N_SEEN] % state[_ENTRIES])
    state[entry], state[entry + 1] = key, link
    state[row + _NEWEST] = state[_N_SEEN]
    state[_N_SEEN] += 1


@internal
def _find(state: Ints, stream: int) -> int:
    """The latest earlier place where the last two deltas stood together, or 0; the keys up to it are in the list."""
    row = rows.peek(state, _INDEX, stream if state[_BY_STREAM] else 0)
    if row == NONE:
        return 0
    number, chain, n = state[row + _NEWEST], state[_CHAIN], 0
    entries = state[_ENTRIES]
    gone = max(state[_N_SEEN] - entries, 0)
    # The number of the entry that the ring begins with: to divide for each takes longer than all else.
    start = state[_N_SEEN] - state[_N_SEEN] % entries
    newest = newer = step = before = last = 0
    while number >= gone:
        place = number - start
        entry = state[_BUFFER] + 2 * (place if place >= 0 else place + entries)
        key, number = state[entry], state[entry + 1]
        state[chain + n] = key
        n += 1
        before, step, last = step, minus(last, key), key
        if n > 3:
            if before == newest and step == newer:
                return n - 3
        elif n == 3:
            newest, newer = before, step
    return 0


def _want(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """Replay the deltas after that place. Where there is less than the degree, it goes round."""
    place = _find(state, stream)
    if place == 0:
        return 0
    n, at, beyond, left = 0, key, 0, place
    for _ in range(state[_DEGREE]):
        # The list has the newest first: what came next then stands before the place.
        newer = state[_CHAIN] + left - 1
        step = minus(state[newer], state[newer + 1])
        left = left - 1 if left > 1 else place
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
        buffer = _INDEX + rows.words(config.index_entries, 1)
        state = rows.state(buffer + 3 * config.entries)
        state[_DEGREE], state[_ENTRIES], state[_BY_STREAM] = config.degree, config.entries, config.index == "stream"
        state[_BUFFER], state[_CHAIN] = buffer, buffer + 2 * config.entries
        rows.setup(state, _INDEX, config.index_entries, 1)
        super().__init__(config.trigger, state, _learn, _want, config.degree, Ahead(of_stream=config.index == "stream"))
