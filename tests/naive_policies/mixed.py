"""The twin of the policy that has others as experts."""

from collections.abc import Mapping, Sequence
from typing import Any

from policies.base import N_KEYS
from policies.hybrid import HybridConfig
from simulator.policy import Ahead, Outcome, Told
from tests.naive_policies.common import WRITTEN, SeesWrites, show


class Hybrid(SeesWrites):
    """All that is watched in one list, looked through at every access."""

    ahead = Ahead(of_stream=False)
    twins: Mapping[str, Any] = {}

    def __init__(self, config: HybridConfig) -> None:
        super().__init__("access")
        self._config = config
        self._experts = [self.twins[expert.kind](expert) for expert in config.experts]
        self._precisions: dict[tuple[int, int], float] = {}
        self._counts: dict[tuple[int, int], int] = {}
        self._watched: list[tuple[int, tuple[int, int], int]] = []
        self._now = self._outcome = 0
        self.hears = any(expert.hears for expert in self._experts)

    def _judge(self, slot: tuple[int, int], worth: float) -> None:
        self._counts[slot] = self._counts.get(slot, 4) + 1
        self._precisions[slot] += max(self._config.weight, 1 / self._counts[slot]) * (worth - self._precisions[slot])

    def learn(self, key: int, stream: int, outcome: int) -> None:
        is_written, outcome = outcome >= WRITTEN, outcome % WRITTEN
        is_late = outcome in (Outcome.LATE, Outcome.MERGED)
        worth = {(False, False): 1.0, (False, True): 0.0, (True, False): -1.0, (True, True): -2.0}[is_written, is_late]
        self._now += 1
        self._outcome = outcome
        for watched, slot, _ in self._watched:
            if watched == key:
                self._judge(slot, worth)
        for watched, slot, due in self._watched:
            if watched != key and due <= self._now:
                self._judge(slot, 0.0)
        self._watched = [one for one in self._watched if one[0] != key and one[2] > self._now]
        show(self._experts, key, stream, outcome, is_written=is_written)

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        found: dict[int, float] = {}
        for i, expert in enumerate(self._experts):
            if self._outcome <= expert._above:
                continue
            within = dict.fromkeys(guess for guess, _ in expert.want(key, stream) if 0 <= guess < N_KEYS)
            within.pop(key, None)
            for rank, guess in enumerate(within):
                precision = self._precisions.setdefault((i, rank), self._config.prior)
                self._watched.append((guess, (i, rank), self._now + self._config.window))
                found[guess] = max(found.get(guess, precision), precision)
        best = sorted(found.items(), key=lambda one: -one[1])
        return [one for one in best if one[1] >= self._config.threshold][: self._config.degree]

    def told(self, told: Told) -> None:
        for expert in self._experts:
            if expert.hears:
                expert.told(told)
