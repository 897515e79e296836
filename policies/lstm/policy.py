"""The LSTM as a prefetch policy, asked access by access or of predictions made beforehand.

After Hashemi et al., "Learning Memory Access Patterns" (ICML 2018); with page and offset after Shi et al., "A
Hierarchical Neural Model of Data Prefetching" (ASPLOS 2021). Leaves out program counters, which
``kind: model`` has as columns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from policies.learned import LearnedTable
from policies.lstm import looked_up
from policies.lstm.asker import table_of
from policies.lstm.backends.compiled import Compiled
from policies.lstm.batched import Table as Predictions
from policies.lstm.predictor import LstmPredictor
from policies.models.codecs.base import Keys
from policies.models.policy import NetworkPolicy
from policies.timing import Timing
from simulator.clock import HAS_CLOCKS
from simulator.policy import AccessRun, Decision


class LstmPolicy(NetworkPolicy):
    """Settings as its predictor's config has them."""

    predictor: LstmPredictor

    def __init__(
        self, predictor: LstmPredictor, threshold: float, footprint_bytes: int = 0, timing: Timing | None = None
    ) -> None:
        config = predictor.config
        super().__init__(
            predictor, config.trigger, threshold, timing, per_stream=config.per_stream, is_carried=config.is_carried,
            footprint_bytes=footprint_bytes,
        )  # fmt: skip


class CompiledLstmPolicy(LstmPolicy):
    """The same answers from compiled code: a run asks it without Python, and what that takes is measured there."""

    def __init__(
        self, predictor: LstmPredictor, threshold: float, n_lines: int = 1, footprint_bytes: int = 0,
        timing: Timing | None = None,
    ) -> None:  # fmt: skip
        super().__init__(predictor, threshold, footprint_bytes, timing)
        self.table, self._kept = table_of(predictor, self.rule, n_lines)
        self._asking = LearnedTable(self.table, n_lines if self._per_stream else None)

    @staticmethod
    def can_ask(predictor: LstmPredictor) -> bool:
        """Whether compiled code can: on the compiled backend, where there are clocks; not along windows that go on."""
        config = predictor.config
        is_window = config.expand == "rollout" and not config.is_carried
        return isinstance(predictor.backend, Compiled) and HAS_CLOCKS and not is_window

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """As a run asks it: what the clock sees begins and ends in compiled code."""
        return self._asking.decide(runs)


class BatchedLstmPolicy(LstmPolicy):
    """The same answers from predictions that were made beforehand: they depend on the accesses alone, not on the cache.

    No single call is timed: the charge must come from elsewhere.
    """

    def __init__(
        self, predictor: LstmPredictor, threshold: float, n_lines: int, predictions: Mapping[int, Predictions],
        sequences: Mapping[int, Keys], footprint_bytes: int = 0, timing: Timing | None = None,
    ) -> None:  # fmt: skip
        """``sequences``: the accesses of each line, along which was predicted."""
        super().__init__(predictor, threshold, footprint_bytes, timing)
        self.table, self._kept = looked_up.table_of(predictions, sequences, predictor, self.rule, n_lines)
        self._asking = LearnedTable(self.table, n_lines if self._per_stream else None)

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """Look up what was predicted after the asking access."""
        return replace(self._asking.decide(runs), host_ns=0, cpu_ns=0)
