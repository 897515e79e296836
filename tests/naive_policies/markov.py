"""Markov prefetching: what followed a miss before.

Joseph & Grunwald, "Prefetching using Markov Predictors", ISCA 1997. One miss of history. Successors are ordered by
recency (the paper's table) or by frequency, where a count tells them apart and the rarest makes room.
"""

from collections.abc import Sequence
from typing import Literal

from policies.base import Degree, PolicySettings, TablePolicy, TriggerName
from policies.given import Built, Given
from policies.table import Table
from simulator.config import Count
from simulator.policy import Ahead


class MarkovConfig(PolicySettings):
    """Up to four blocks that followed this one before (Joseph & Grunwald 1997)."""

    kind: Literal["markov"]
    entries: Count = 16384
    successors: Degree = 4
    order: Literal["recency", "frequency"] = "recency"
    trigger: TriggerName = "tagged"

    def build(self, given: Given) -> Built:
        """A fresh policy for one run."""
        return Built(MarkovPolicy(self))


class MarkovPolicy(TablePolicy):
    """Successors with their counts, the one seen last first."""

    ahead = Ahead(of_stream=False)

    def __init__(self, config: MarkovConfig) -> None:
        super().__init__(config.trigger)
        self._config = config
        self._table: Table[int, dict[int, int]] = Table(config.entries)
        self._last: int | None = None

    def learn(self, key: int, stream: int, outcome: int) -> None:
        """The last key is followed by this one."""
        last, self._last = self._last, key
        if last is None or last == key:
            return
        old = self._table.use(last) or {}
        count = old.get(key, 0) + 1
        others = {k: n for k, n in old.items() if k != key}
        if len(others) == self._config.successors:
            # The oldest goes, or the rarest, the oldest of these.
            by_age = list(reversed(others))
            gone = by_age[0] if self._config.order == "recency" else min(by_age, key=others.__getitem__)
            del others[gone]
        self._table.put(last, {key: count, **others})

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        """Its successors, each with its share of those that are remembered."""
        found = self._table.peek(key)
        if not found:
            return []
        total = sum(found.values())
        ordered = list(found.items())
        if self._config.order == "frequency":
            ordered.sort(key=lambda item: -item[1])
        return [(k, n / total) for k, n in ordered]
