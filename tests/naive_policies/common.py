"""What the twins share."""

from collections.abc import Sequence
from typing import Any

from policies.base import N_KEYS, TablePolicy, answer_of
from policies.given import Keys
from simulator.policy import AccessRun, Answer, Outcome
from simulator.trace import WRITE

WRITTEN = 8
"""Added to the outcome of a write."""


class SeesWrites(TablePolicy):
    """Is told of writes by outcomes."""

    needs = ("op",)

    def _answer(self, run: AccessRun) -> Answer:
        columns = (run[name].tolist() for name in ("key", "stream", "outcome", "op"))
        for key, stream, outcome, op in zip(*columns, strict=True):
            if outcome > self._above:
                self.learn(key, stream, outcome + WRITTEN * (op == WRITE))
        key, stream = run.asking
        return answer_of([one for one in self.want(key, stream) if 0 <= one[0] < N_KEYS], key)

    def learn_all(self, keys: Keys, streams: Any, writes: Any) -> None:
        for key, stream, is_written in zip(keys.tolist(), streams.tolist(), writes.tolist(), strict=True):
            self.learn(key, stream, Outcome.MISS + WRITTEN * is_written)
            self.want(key, stream)


def show(experts: Sequence[TablePolicy], key: int, stream: int, outcome: int, *, is_written: bool) -> None:
    """An access, to those whose trigger it is; that it is a write, to those that are told."""
    for expert in experts:
        if outcome > expert._above:
            expert.learn(key, stream, outcome + WRITTEN * (is_written and isinstance(expert, SeesWrites)))


# A block's place is its key, from 0 to 2^64 - 1; the difference of two wraps at 64 bits.


def wrapped(difference: int) -> int:
    """The difference of two keys, from -2^63 to 2^63 - 1."""
    return (difference + 2**63) % 2**64 - 2**63
