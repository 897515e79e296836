"""The LSTM as a prefetch policy, asked access by access or of predictions made beforehand.

After Hashemi et al., "Learning Memory Access Patterns" (ICML 2018); with page and offset after Shi et al., "A
Hierarchical Neural Model of Data Prefetching" (ASPLOS 2021). Leaves out program counters.
"""

from collections.abc import Sequence

from policies.lstm.batched import Table
from policies.lstm.predictor import LstmPredictor
from policies.models.policy import NetworkPolicy, answer_of, by_line
from simulator.policy import AccessRun, Answer, Decision


class LstmPolicy(NetworkPolicy):
    """``n_lines`` is how many sequences keep a state."""

    predictor: LstmPredictor

    def __init__(self, predictor: LstmPredictor, threshold: float, n_lines: int = 1) -> None:
        config = predictor.config
        footprint = predictor.n_bytes + n_lines * predictor.state_bytes if config.in_gpu_memory else 0
        super().__init__(
            predictor, config.trigger, threshold, per_stream=config.per_stream, is_carried=config.is_carried,
            footprint_bytes=footprint,
        )  # fmt: skip


class BatchedLstmPolicy(LstmPolicy):
    """The same answers from predictions that were made beforehand: they depend on the accesses alone, not on the cache.

    No single call is timed: the charge must come from elsewhere.
    """

    def __init__(self, predictor: LstmPredictor, threshold: float, n_lines: int, tables: dict[int, Table]) -> None:
        super().__init__(predictor, threshold, n_lines)
        self._tables = tables
        self._n_seen = dict.fromkeys(tables, 0)
        self._n_answered = dict.fromkeys(tables, 0)
        self._last_key = dict.fromkeys(tables, 0)

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """Look up what was predicted after the asking access."""
        answers = []
        for run in runs:
            for name, keys, _ in by_line(run, per_stream=self._per_stream):
                self._n_seen[name] += len(keys)
                self._last_key[name] = int(keys[-1])
            line = self._line_of(run)
            if self._n_answered[line] == self._n_seen[line]:
                answers.append(Answer())
                continue
            self._n_answered[line] = self._n_seen[line]
            classes, confidences = self._tables[line].after(self._n_seen[line] - 1)
            found = self.predictor.encoder.decoded(self._last_key[line], classes, confidences)
            answers.append(answer_of(found, self._threshold))
        return Decision(answers)
