"""The twin of the policy that has one of several others answer."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from policies.base import N_KEYS
from policies.selector import SelectorConfig
from simulator.policy import Ahead, Fate, Told
from tests.naive_policies.common import WRITTEN, SeesWrites, show
from tests.naive_policies.table import Table


class Selector(SeesWrites):
    """Arms in lists; the last one is nobody."""

    ahead = Ahead(of_stream=False)
    twins: Mapping[str, Any] = {}

    def __init__(self, config: SelectorConfig) -> None:
        super().__init__("access")
        self._config = config
        self._experts = [self.twins[expert.kind](expert) for expert in config.experts]
        n = len(self._experts) + 1
        self._sums, self._counts = [0.0] * n, [0.0] * n
        self._owners: Table[int, tuple[int, float | None]] = Table(config.owners)
        self._chosen = self._n_shown = self._n_choices = self._outcome = 0
        self._worth = {Fate.TIMELY: config.timely, Fate.LATE: config.late}

    def learn(self, key: int, stream: int, outcome: int) -> None:
        is_written, outcome = outcome >= WRITTEN, outcome % WRITTEN
        self._outcome = outcome
        owner, used = self._owners.peek(key) or (0, None)
        if used is not None:
            self._owners.pop(key)
            self._sums[owner] += (-self._config.wrong if is_written else used) / self._config.step
        show(self._experts, key, stream, outcome, is_written=is_written)
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
            self._owners.put(guess, (self._chosen, None))
        return wanted

    def told(self, told: Told) -> None:
        for key, fate in zip(told.keys, told.fates, strict=True):
            found = self._owners.peek(key)
            if found is None:
                continue
            owner = found[0]
            if fate in self._worth:
                # With the access that used it, which may be a write.
                self._owners.replace(key, (owner, self._worth[fate]))
            else:
                self._owners.pop(key)
                self._sums[owner] -= self._config.wrong / self._config.step if fate == Fate.EVICTED_UNUSED else 0.0
            if self._experts[owner].hears:
                self._experts[owner].told(Told([key], [fate]))

    def learn_all(self, keys: Any, streams: Any, writes: Any) -> None:
        for expert in self._experts:
            expert.learn_all(keys, streams, writes)
