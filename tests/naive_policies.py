"""Prefetch policies again, in plain Python: what the compiled ones must equal.

A block's place is its key, from 0 to 2^64 - 1; the difference of two wraps at 64 bits.
"""

from collections.abc import Sequence

from policies.base import TablePolicy, sure
from policies.next_n import NextNConfig
from policies.stride import StrideConfig
from policies.table import Table


def wrapped(difference: int) -> int:
    """The difference of two keys, from -2^63 to 2^63 - 1."""
    return (difference + 2**63) % 2**64 - 2**63


class NextN(TablePolicy):
    def __init__(self, config: NextNConfig) -> None:
        super().__init__(config.trigger)
        self.steps = [config.stride * i for i in range(1, config.n + 1)]

    def learn(self, key: int, stream: int, outcome: int) -> None:
        pass

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        return sure([key + step for step in self.steps])


class Stride(TablePolicy):
    def __init__(self, config: StrideConfig) -> None:
        super().__init__(config.trigger)
        self.config = config
        self.most = 2**config.counter_bits - 1
        self.table: Table[int, tuple[int, int, int]] = Table(config.entries)

    def learn(self, key: int, stream: int, outcome: int) -> None:
        found = self.table.use(stream)
        if found is None:
            self.table.put(stream, (key, 0, min(self.config.start, self.most)))
            return
        last, stride, confidence = found
        if key == last:
            return
        step = wrapped(key - last)
        if step == stride:
            confidence = min(confidence + 1, self.most)
        else:
            confidence = max(confidence - 1, 0)
            if confidence < self.config.threshold * self.most:
                stride = step
        self.table.put(stream, (key, stride, confidence))

    def want(self, key: int, stream: int) -> Sequence[tuple[int, float]]:
        found = self.table.peek(stream)
        if found is None:
            return []
        last, stride, confidence = found
        if stride == 0 or confidence < self.config.threshold * self.most:
            return []
        return [(last + stride * i, confidence / self.most) for i in range(1, self.config.degree + 1)]


NAIVE = {"next_n": NextN, "stride": Stride}
