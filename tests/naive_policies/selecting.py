"""The twin of the policy that has one of several others answer."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from policies.base import N_KEYS, TablePolicy
from policies.selector import SelectorConfig
from simulator.policy import Ahead, Fate, Told
from tests.naive_policies.table import Table


class Selector(TablePolicy):
    """Arms in lists; the last one is nobody."""

    ahead = Ahead(of_stream=False)
    twins: Mapping[str, Any] = {}

    def __init__(self, config: SelectorConfig) -> None:
        super().__init__("access")
        self._config = config
        self._experts = [self.twins[expert.kind](expert) for expert in config.experts]
        n = len(self._experts) + 1
        self._sums, self._counts = [0.0] * n, [0.0] * n
        self._owners: Table[int, int] = Table(config.owners)
        self._chosen = self._n_shown = self._n_choices = self._outcome = 0
        self._worth = {Fate.TIMELY: config.timely, Fate.LATE: config.late, Fate.EVICTED_UNUSED: -config.wrong}

    def learn(self, key: int, stream: int, outcome: int) -> None:
        self._outcome = outcome
        for expert in self._experts:
            if outcome > expert._above:
                expert.learn(key, stream, outcome)
        self._n_shown += 1
        if self._n_shown % self._config.step == 0:
            self._chosen = self._choice()

    def _choice(self) -> int:
        gamma = self._config.gamma
        self._sums = [gamma * one for one in self._sums]
        self._counts = [gamma * one for one in self._counts]
        self._counts[self._chosen] += 1
        self._n_choices += 1
        if self._n_choices < len(self._counts):
            return self._n_choices
        total = 0.0
        for count in self._counts:
            total += count
        worths = []
        for sum_, count in zip(self._sums, self._counts, strict=True):
            least = max(count, 1e-300)
            worths.append(sum_ / least + self._config.c * math.sqrt(math.log(max(total, 1.0)) / least))
        return worths.index(max(worths))

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        if self._chosen == len(self._experts):
            return []
        expert = self._experts[self._chosen]
        if self._outcome <= expert._above:
            return []
        wanted = [(guess, sure) for guess, sure in expert.want(key, stream) if 0 <= guess < N_KEYS]
        for guess, _ in wanted:
            self._owners.put(guess, self._chosen)
        return wanted

    def told(self, told: Told) -> None:
        for key, fate in zip(told.keys, told.fates, strict=True):
            owner = self._owners.pop(key)
            if owner is None:
                continue
            self._sums[owner] += self._worth.get(fate, 0.0) / self._config.step
            if self._experts[owner].hears:
                self._experts[owner].told(Told([key], [fate]))

    def learn_all(self, keys: Any, streams: Any) -> None:
        for expert in self._experts:
            expert.learn_all(keys, streams)
