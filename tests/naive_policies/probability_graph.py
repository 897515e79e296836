"""Probability graph: how often a block was opened within a few accesses after another.

Griffioen & Appleton, "Reducing File System Latency using a Predictive Approach", USENIX Summer 1994. The paper's graph
of files grows with them; here blocks that were not used for long are forgotten, and each keeps its most frequent
successors.
"""

from collections import deque
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from policies.base import Degree, PolicySettings, TablePolicy, TriggerName
from policies.given import Built, Given
from policies.table import Table
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


class ProbabilityGraphPolicy(TablePolicy):
    """For each block how often it was accessed, and how often each other one came within the lookahead."""

    ahead = Ahead(of_stream=False)

    def __init__(self, config: ProbabilityGraphConfig) -> None:
        super().__init__(config.trigger)
        self._config = config
        self._graph: Table[int, tuple[int, dict[int, int]]] = Table(config.entries)
        self._window: deque[int] = deque(maxlen=config.lookahead)

    def learn(self, key: int, stream: int, outcome: int) -> None:
        """An edge from every other block of the window to this one."""
        for earlier in dict.fromkeys(self._window):
            found = self._graph.peek(earlier)
            if found is None or earlier == key:
                continue
            edges = found[1]
            if key not in edges and len(edges) == self._config.successors:
                del edges[min(edges, key=edges.__getitem__)]
            edges[key] = edges.get(key, 0) + 1
        n, edges = self._graph.use(key) or (0, {})
        self._graph.put(key, (n + 1, edges))
        self._window.append(key)

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        """The likeliest successors, by edges for each access of this block."""
        n, edges = self._graph.peek(key) or (1, {})
        likely = sorted(edges.items(), key=lambda edge: -edge[1])[: self._config.degree]
        return [(k, min(c / n, 1.0)) for k, c in likely if c / n >= self._config.min_probability]
