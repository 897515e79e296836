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
from simulator.arrays import NONE, Ints
from simulator.compiled import internal
from simulator.config import Count
from simulator.policy import Ahead
from simulator.records.record import from_place


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
# each with its row, then a row for each block: the access that counted it last, how often it was accessed, how many
# edges, where these lead, the first made first, and how often each was followed.
_LOOKAHEAD, _DEGREE, _SUCCESSORS, _PROBABILITY, _N_SEEN, _WINDOW, _GRAPH = range(7)
_COUNTED, _ACCESSES, _N, _EDGES = range(FIELDS, FIELDS + 4)


@internal
def _place(edges: Ints, n: int, key: int) -> int:
    """Which of the edges leads to a key, or ``n``."""
    place = 0
    # Four at a time: mostly none does.
    while place + 4 <= n and (
        (edges[place] != key) & (edges[place + 1] != key) & (edges[place + 2] != key) & (edges[place + 3] != key)
    ):
        place += 4
    while place < n and edges[place] != key:
        place += 1
    return place


@internal
def _count(state: Ints, row: int, key: int) -> None:
    """One more on the edge to a key; a new one may take the place of the rarest, the first made of these."""
    edges, n = from_place(state, row + _EDGES), state[row + _N]
    counts = from_place(state, row + _EDGES + state[_SUCCESSORS])
    place = _place(edges, n, key)
    if place < n:
        counts[place] += 1
        return
    if n == state[_SUCCESSORS]:
        gone, i = 0, 1
        # None is rarer than one that was followed once.
        while i < n and counts[gone] > 1:
            if counts[i] < counts[gone]:
                gone = i
            i += 1
        place = n - 1
        for at in range(gone, place):
            edges[at], counts[at] = edges[at + 1], counts[at + 1]
    else:
        state[row + _N] += 1
    edges[place], counts[place] = key, 1


def _learn(state: Ints, key: int, stream: int, outcome: int) -> None:
    """An edge from every other block of the window to this one."""
    now, size = state[_N_SEEN], state[_LOOKAHEAD]
    state[_N_SEEN] += 1
    for i in range(min(now, size)):
        at = state[_WINDOW] + 2 * i
        other, row = state[at], state[at + 1]
        if other == key:
            continue
        if state[row + rows.KEY] != other:
            # Another block has its row by now.
            row = rows.peek(state, _GRAPH, other)
        # A block counts once, however often the window has it.
        if row != NONE and state[row + _COUNTED] != state[_N_SEEN]:
            state[row + _COUNTED] = state[_N_SEEN]
            _count(state, row, key)
    row = rows.put(state, _GRAPH, key)
    state[row + _ACCESSES] += 1
    at = state[_WINDOW] + 2 * (now % size)
    state[at], state[at + 1] = key, row


def _want(state: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """The likeliest successors, by edges for each access of this block."""
    row = rows.peek(state, _GRAPH, key)
    if row == NONE:
        return 0
    least = np.int64(state[_PROBABILITY]).view(np.float64)
    n = 0
    for i in range(state[row + _N]):
        edge = row + _EDGES + i
        share = state[edge + state[_SUCCESSORS]] / state[row + _ACCESSES]
        if share < least or (n == state[_DEGREE] and confidences[n - 1] >= share):
            continue
        # Behind those that are as likely; with one too many the last goes.
        at = n if n < state[_DEGREE] else n - 1
        n = at + 1
        while at > 0 and confidences[at - 1] < share:
            keys[at], confidences[at] = keys[at - 1], confidences[at - 1]
            at -= 1
        keys[at], confidences[at] = state[edge], share
    for i in range(n):
        confidences[i] = min(confidences[i], 1.0)
    return n


class ProbabilityGraphPolicy(CompiledPolicy):
    """For each block how often it was accessed, and how often each other one came within the lookahead."""

    def __init__(self, config: ProbabilityGraphConfig) -> None:
        n_fields = _EDGES - FIELDS + 2 * config.successors
        window = _GRAPH + rows.words(config.entries, n_fields)
        state = rows.state(window + 2 * config.lookahead)
        state[_LOOKAHEAD], state[_DEGREE], state[_SUCCESSORS] = config.lookahead, config.degree, config.successors
        state[_PROBABILITY], state[_WINDOW] = np.float64(config.min_probability).view(np.int64), window
        rows.setup(state, _GRAPH, config.entries, n_fields)
        super().__init__(config.trigger, state, _learn, _want, config.degree, Ahead(of_stream=False))
