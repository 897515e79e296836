"""Twins of the policies that learn one step, and take it again."""

from collections import OrderedDict, deque
from collections.abc import Sequence

from policies.base import TablePolicy, sure
from policies.best_offset import BestOffsetConfig, offsets_up_to
from policies.leap import LeapConfig
from policies.next_n import NextNConfig
from policies.stride import StrideConfig
from simulator.policy import Ahead, Outcome
from tests.naive_policies.common import wrapped
from tests.naive_policies.table import Table


class NextN(TablePolicy):
    def __init__(self, config: NextNConfig) -> None:
        super().__init__(config.trigger)
        self._steps = [config.stride * i for i in range(1, config.n + 1)]

    def learn(self, key: int, stream: int, outcome: int) -> None:
        pass

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        return sure([key + step for step in self._steps])


class Stride(TablePolicy):
    def __init__(self, config: StrideConfig) -> None:
        super().__init__(config.trigger)
        self._config = config
        self._most = 2**config.counter_bits - 1
        self._table: Table[int, tuple[int, int, int]] = Table(config.entries)

    def learn(self, key: int, stream: int, outcome: int) -> None:
        found = self._table.use(stream)
        if found is None:
            self._table.put(stream, (key, 0, min(self._config.counter_start, self._most)))
            return
        last, stride, confidence = found
        if key == last:
            return
        step = wrapped(key - last)
        if step == stride:
            confidence = min(confidence + 1, self._most)
        else:
            confidence = max(confidence - 1, 0)
            if confidence < self._config.threshold * self._most:
                stride = step
        self._table.put(stream, (key, stride, confidence))

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        found = self._table.peek(stream)
        if found is None:
            return []
        last, stride, confidence = found
        if stride == 0 or confidence < self._config.threshold * self._most:
            return []
        return [(last + stride * i, confidence / self._most) for i in range(1, self._config.degree + 1)]


def majority(steps: Sequence[int]) -> int | None:
    """The step that makes up more than half of them, by Boyer and Moore's vote, or None."""
    candidate, votes = 0, 0
    for step in steps:
        if votes == 0:
            candidate = step
        votes += 1 if step == candidate else -1
    n = sum(step == candidate for step in steps)
    return candidate if 2 * n > len(steps) else None


class Leap(TablePolicy):
    """The last steps, newest first."""

    ahead = Ahead(of_stream=False)

    def __init__(self, config: LeapConfig) -> None:
        super().__init__(config.trigger)
        self._config = config
        self._steps: deque[int] = deque(maxlen=config.history)
        self._last: int | None = None
        self._n_used = 0
        self._window = 0

    def learn(self, key: int, stream: int, outcome: int) -> None:
        """The step to this access, and whether a prefetch served it."""
        if self._last is not None:
            self._steps.appendleft(wrapped(key - self._last))
        self._last = key
        self._n_used += outcome in (Outcome.HIT_PREFETCHED, Outcome.LATE)

    def _trend(self) -> int | None:
        steps = list(self._steps)
        size = max(self._config.history // self._config.split, 1)
        while steps:
            found = majority(steps[:size])
            if found is not None or size >= len(steps):
                return found
            size *= 2
        return None

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        """So many blocks along the trend."""
        trend = self._trend()
        follows = bool(self._steps) and self._steps[0] == trend
        if self._n_used == 0:
            window = 1 if follows else 0
        else:
            window = min(1 << self._n_used.bit_length(), self._config.max_window)
        window = max(window, self._window // 2)
        self._window, self._n_used = window, 0
        if not trend:
            return []
        return sure([key + trend * i for i in range(1, window + 1)])


class BestOffset(TablePolicy):
    """Scores of all offsets, tested one an access in turn."""

    ahead = Ahead(of_stream=False)

    def __init__(self, config: BestOffsetConfig) -> None:
        super().__init__(config.trigger)
        self._config = config
        self._offsets = offsets_up_to(config.max_offset)
        self._scores = dict.fromkeys(self._offsets, 0)
        self._at = self._round = 0
        self._best: int | None = 1
        self._waiting: deque[int] = deque()
        self._recent: OrderedDict[int, None] = OrderedDict()

    def learn(self, key: int, stream: int, outcome: int) -> None:
        """Test the next offset, and let accesses that are old enough into the table."""
        offset = self._offsets[self._at]
        if key - offset in self._recent:
            self._scores[offset] += 1
        self._at += 1
        if self._at == len(self._offsets):
            self._at = 0
            self._round += 1
            if max(self._scores.values()) >= self._config.score_max or self._round == self._config.round_max:
                self._choose()
        self._waiting.append(key)
        if len(self._waiting) > self._config.delay:
            old = self._waiting.popleft()
            self._recent[old] = None
            self._recent.move_to_end(old)
            if len(self._recent) > self._config.recent:
                self._recent.popitem(last=False)

    def _choose(self) -> None:
        """A learning phase is over: the best offset, the smallest of those that are alike, or none if it is bad."""
        best = max(self._offsets, key=self._scores.__getitem__)
        self._best = best if self._scores[best] > self._config.bad_score else None
        self._scores = dict.fromkeys(self._offsets, 0)
        self._at = self._round = 0

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        """The blocks at multiples of the best offset."""
        if self._best is None:
            return []
        return sure([key + self._best * i for i in range(1, self._config.degree + 1)])
