"""Markov prefetching: what followed a miss before.

Joseph & Grunwald, "Prefetching using Markov Predictors", ISCA 1997. One miss of history. Successors are ordered by
recency (the paper's table) or by frequency, where a count tells them apart and the rarest makes room.
"""

from typing import Literal

from policies import rows
from policies.base import CompiledPolicy, Degree, TableSettings, TriggerName
from policies.given import Built, Given
from policies.rows import FIELDS
from simulator.answers import Floats
from simulator.arrays import NONE, Ints
from simulator.compiled import internal
from simulator.config import Count
from simulator.policy import Ahead


class MarkovConfig(TableSettings):
    """Up to four blocks that followed this one before (Joseph & Grunwald 1997)."""

    kind: Literal["markov"]
    entries: Count = 16384
    """Blocks whose successors are remembered."""
    successors: Degree = 4
    """Successors of each."""
    order: Literal["recency", "frequency"] = "recency"
    """Which successors come first and stay: the latest (the paper's) or the most frequent."""
    trigger: TriggerName = "tagged"
    """When it is asked: at every `access`, at a `miss`, or `tagged`: at misses and first uses of prefetched blocks."""

    def fresh(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(MarkovPolicy(self))


# The state: settings, the last key and whether there is one, the rows. A row has how many successors it has, then each
# with its count, the one seen last first.
_MOST, _BY_FREQUENCY, _HAS_LAST, _LAST, _ROWS = range(5)
_N, _FIRST = FIELDS, FIELDS + 1


@internal
def _makes_room(state: Ints, row: int) -> int:
    """The place of the successor that goes: the oldest, or the rarest, the oldest of these."""
    gone = state[row + _N] - 1
    if state[_BY_FREQUENCY]:
        for i in range(gone - 1, -1, -1):
            if state[row + _FIRST + 2 * i + 1] < state[row + _FIRST + 2 * gone + 1]:
                gone = i
    return gone


def _learn(state: Ints, key: int, stream: int, outcome: int) -> None:
    """The last key is followed by this one."""
    last, has_last = state[_LAST], state[_HAS_LAST]
    state[_LAST], state[_HAS_LAST] = key, 1
    if not has_last or last == key:
        return
    row = rows.put(state, _ROWS, last)
    first, count, place = row + _FIRST, 1, 0
    while place < state[row + _N] and state[first + 2 * place] != key:
        place += 1
    if place < state[row + _N]:
        count = state[first + 2 * place + 1] + 1
    elif place < state[_MOST]:
        state[row + _N] += 1
    else:
        place = _makes_room(state, row)
    for at in range(first + 2 * place + 1, first + 1, -1):
        state[at] = state[at - 2]
    state[first], state[first + 1] = key, count


def _want(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """Its successors, each with its share of those that are remembered."""
    row = rows.peek(state, _ROWS, key)
    if row == NONE:
        return 0
    n, total = state[row + _N], 0
    for i in range(n):
        total += state[row + _FIRST + 2 * i + 1]
    for i in range(n):
        successor, share = state[row + _FIRST + 2 * i], state[row + _FIRST + 2 * i + 1] / total
        at = i
        # Behind those that are as frequent.
        while state[_BY_FREQUENCY] and at > 0 and confidences[at - 1] < share:
            keys[at], confidences[at] = keys[at - 1], confidences[at - 1]
            at -= 1
        keys[at], confidences[at] = successor, share
    return n


class MarkovPolicy(CompiledPolicy):
    """Successors with their counts, the one seen last first."""

    def __init__(self, config: MarkovConfig) -> None:
        n_fields = 1 + 2 * config.successors
        state = rows.state(_ROWS + rows.words(config.entries, n_fields))
        state[_MOST], state[_BY_FREQUENCY] = config.successors, config.order == "frequency"
        rows.setup(state, _ROWS, config.entries, n_fields)
        super().__init__(config.trigger, state, _learn, _want, config.successors, Ahead(of_stream=False))
