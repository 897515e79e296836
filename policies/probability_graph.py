"""Probability graph: how often a block was opened within a few accesses after another.

Griffioen & Appleton, "Reducing File System Latency using a Predictive Approach", USENIX Summer 1994. The paper's graph
of files grows with them; here blocks that were not used for long are forgotten, and each keeps its most frequent
successors.
"""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from policies import rows
from policies.base import CompiledPolicy, Degree, PolicySettings, TriggerName
from policies.given import Built, Given
from policies.rows import FIELDS
from simulator.answers import Floats
from simulator.arrays import NONE, Ints
from simulator.compiled import internal
from simulator.config import Count
from simulator.policy import Ahead


class ProbabilityGraphConfig(PolicySettings):
    """Blocks that often came within a few accesses after this one (Griffioen & Appleton 1994)."""

    kind: Literal["probability_graph"]
    lookahead: Count = 20
    min_probability: Annotated[float, Field(gt=0, le=1)] = 0.05
    degree: Degree = 4
    entries: Count = 16384
    successors: Count = 32
    trigger: TriggerName = "access"

    def build(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(ProbabilityGraphPolicy(self))


# The state: settings (the probability as its bits), how many accesses there were, where the ring of the last ones lies,
# then a row for each block: the access that counted it last, how often it was accessed, how many edges, and each edge
# with its count, the first made first.
_LOOKAHEAD, _DEGREE, _SUCCESSORS, _PROBABILITY, _N_SEEN, _WINDOW, _GRAPH = range(7)
_COUNTED, _ACCESSES, _N, _EDGES = range(FIELDS, FIELDS + 4)


@internal
def _count(p: Ints, row: int, key: int) -> None:
    """One more on the edge to a key; a new one may take the place of the rarest, the first made of these."""
    edges, n, place = row + _EDGES, p[row + _N], 0
    while place < n and p[edges + 2 * place] != key:
        place += 1
    if place < n:
        p[edges + 2 * place + 1] += 1
        return
    if n == p[_SUCCESSORS]:
        gone = 0
        for i in range(1, n):
            if p[edges + 2 * i + 1] < p[edges + 2 * gone + 1]:
                gone = i
        place = n - 1
        for at in range(edges + 2 * gone, edges + 2 * place):
            p[at] = p[at + 2]
    else:
        p[row + _N] += 1
    p[edges + 2 * place], p[edges + 2 * place + 1] = key, 1


def _learn(p: Ints, key: int, stream: int, outcome: int) -> None:
    """An edge from every other block of the window to this one."""
    now, size = p[_N_SEEN], p[_LOOKAHEAD]
    p[_N_SEEN] += 1
    for i in range(min(now, size)):
        row = rows.peek(p, _GRAPH, p[p[_WINDOW] + i])
        # A block counts once, however often the window has it.
        if row != NONE and p[row + _COUNTED] != p[_N_SEEN] and p[p[_WINDOW] + i] != key:
            p[row + _COUNTED] = p[_N_SEEN]
            _count(p, row, key)
    row = rows.put(p, _GRAPH, key)
    p[row + _ACCESSES] += 1
    p[p[_WINDOW] + now % size] = key


def _want(p: Ints, key: int, stream: int, keys: Ints, confidences: Floats) -> int:
    """The likeliest successors, by edges for each access of this block."""
    row = rows.peek(p, _GRAPH, key)
    if row == NONE:
        return 0
    least = np.int64(p[_PROBABILITY]).view(np.float64)
    n = 0
    for i in range(p[row + _N]):
        edge = row + _EDGES + 2 * i
        share = p[edge + 1] / p[row + _ACCESSES]
        if share < least or (n == p[_DEGREE] and confidences[n - 1] >= share):
            continue
        # Behind those that are as likely; with one too many the last goes.
        at = n if n < p[_DEGREE] else n - 1
        n = at + 1
        while at > 0 and confidences[at - 1] < share:
            keys[at], confidences[at] = keys[at - 1], confidences[at - 1]
            at -= 1
        keys[at], confidences[at] = p[edge], share
    for i in range(n):
        confidences[i] = min(confidences[i], 1.0)
    return n


class ProbabilityGraphPolicy(CompiledPolicy):
    """For each block how often it was accessed, and how often each other one came within the lookahead."""

    def __init__(self, config: ProbabilityGraphConfig) -> None:
        n_fields = _EDGES - FIELDS + 2 * config.successors
        window = _GRAPH + rows.words(config.entries, n_fields)
        p = rows.state(window + config.lookahead)
        p[_LOOKAHEAD], p[_DEGREE], p[_SUCCESSORS] = config.lookahead, config.degree, config.successors
        p[_PROBABILITY], p[_WINDOW] = np.float64(config.min_probability).view(np.int64), window
        rows.setup(p, _GRAPH, config.entries, n_fields)
        super().__init__(config.trigger, p, _learn, _want, config.degree, Ahead(of_stream=False))
