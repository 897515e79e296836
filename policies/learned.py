"""Learned policies that compiled code asks, as Python asks them: by the same functions, by the same clocks."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from policies.base import CompiledPolicy, experts_of, shown_of
from simulator.answers import HAS_GUESS, answer_learned
from simulator.arrays import Ints, signed
from simulator.compiled import address_of
from simulator.policy import AccessRun, Answer, Decision, Table, Told


def learned(table: Table, *, is_timed: bool) -> Table:
    """The same of a policy whose last block is its best guess, which is one block less that is wanted."""
    return replace(table, most_wanted=table.most_wanted - 1, is_learned=True, is_timed=is_timed)


class LearnedTable:
    """Asks a table that is learned, a question at a time."""

    def __init__(self, table: Table, n_lines: int | None = None) -> None:
        """``n_lines``: how many streams it has a line for; None: one for all."""
        self._table, self._n_lines = table, n_lines
        self._wanted: Ints = np.zeros(table.most_wanted + 1, np.int64)
        self._sure = np.zeros(table.most_wanted + 1)
        self._took: Ints = np.zeros(2, np.int64)

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """One answer a run, and what the functions took. Raises ValueError for a stream that it has no line for."""
        self._took[:] = 0
        answers = [self._answer(run) for run in runs]
        return Decision(answers, int(self._took[0]), cpu_ns=int(self._took[1]))

    def _answer(self, run: AccessRun) -> Answer:
        table, (key, stream) = self._table, run.asking
        largest = max(stream, int(run.stream.max(initial=0)))
        if self._n_lines is not None and largest >= self._n_lines:
            raise ValueError(f"stream {largest}: expected less than {self._n_lines}")
        shown = shown_of(run, table)
        found = answer_learned(
            address_of(table.state), table.learn, table.want, address_of(shown), len(run), signed(key), stream,
            address_of(self._wanted), address_of(self._sure), address_of(self._took),
        )  # fmt: skip
        n = found & ~HAS_GUESS
        if not found & HAS_GUESS:
            return Answer()
        keys, confidences = self._wanted[: n + 1].view(np.uint64).tolist(), self._sure[: n + 1].tolist()
        return Answer(keys[:n], confidences[:n], keys[n], confidences[n], experts_of(table, n))


class LearnedPolicy:
    """A policy whose ``want`` writes its best guess behind what it wants. It hears nothing."""

    hears = False

    def __init__(self, policy: CompiledPolicy, n_lines: int, footprint_bytes: int, *, is_timed: bool) -> None:
        """``policy``: its functions, as if they had no guess."""
        self._policy = policy
        self.table = learned(policy.table, is_timed=is_timed)
        self._asking = LearnedTable(self.table, n_lines)
        self.trigger, self.ahead, self.recalls, self.needs = policy.trigger, policy.ahead, policy.recalls, policy.needs
        self.footprint_bytes = footprint_bytes

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """One answer a run, and what asking took."""
        return self._asking.decide(runs)

    def told(self, told: Told) -> None:
        """Learns nothing from fates."""
