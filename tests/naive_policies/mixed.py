"""The twin of the policy that has others as experts."""

from collections.abc import Mapping, Sequence
from typing import Any

from policies.base import N_KEYS, TablePolicy
from policies.hybrid import HybridConfig
from simulator.policy import Ahead, Told


class Hybrid(TablePolicy):
    """All that is watched in one list, looked through at every access."""

    ahead = Ahead(of_stream=False)
    twins: Mapping[str, Any] = {}

    def __init__(self, config: HybridConfig) -> None:
        super().__init__("access")
        self._config = config
        self._experts = [self.twins[expert.kind](expert) for expert in config.experts]
        self._precisions: dict[tuple[int, int], float] = {}
        self._watched: list[tuple[int, tuple[int, int], int]] = []
        self._now = self._outcome = 0
        self.hears = any(expert.hears for expert in self._experts)

    def _judge(self, slot: tuple[int, int], is_right: bool) -> None:
        precision, weight = self._precisions[slot], self._config.weight
        self._precisions[slot] += weight * (1.0 - precision) if is_right else -weight * precision

    def learn(self, key: int, stream: int, outcome: int) -> None:
        self._now += 1
        self._outcome = outcome
        for watched, slot, _ in self._watched:
            if watched == key:
                self._judge(slot, True)
        for watched, slot, due in self._watched:
            if watched != key and due <= self._now:
                self._judge(slot, False)
        self._watched = [one for one in self._watched if one[0] != key and one[2] > self._now]
        for expert in self._experts:
            if outcome > expert._above:
                expert.learn(key, stream, outcome)

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        found: dict[int, float] = {}
        for i, expert in enumerate(self._experts):
            if self._outcome <= expert._above:
                continue
            within = [guess for guess, _ in expert.want(key, stream) if 0 <= guess < N_KEYS]
            for rank, guess in enumerate(within):
                if guess == key:
                    continue
                precision = self._precisions.setdefault((i, rank), self._config.prior)
                self._watched.append((guess, (i, rank), self._now + self._config.window))
                found[guess] = max(found.get(guess, 0.0), precision)
        best = sorted(found.items(), key=lambda one: -one[1])
        return [one for one in best if one[1] >= self._config.threshold][: self._config.degree]

    def told(self, told: Told) -> None:
        for expert in self._experts:
            if expert.hears:
                expert.told(told)
