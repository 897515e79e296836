"""The LSTM as a prefetch policy: a real forward pass a question, and a prefetch where the confidence is worth it.

After Hashemi et al., "Learning Memory Access Patterns" (ICML 2018); with page and offset after Shi et al., "A
Hierarchical Neural Model of Data Prefetching" (ASPLOS 2021). Leaves out program counters: the accesses here have none.
"""

import time
from collections.abc import Iterator, Sequence

import numpy as np

from policies.lstm.batched import Table
from policies.lstm.codecs.base import Keys
from policies.lstm.predictor import Found, Line, LstmPredictor, Question
from simulator.policy import AccessRun, Ahead, Answer, Decision, Told, Trigger


def by_line(run: AccessRun, *, per_stream: bool) -> Iterator[tuple[int, Keys]]:
    """The accesses of a run by the sequence that they belong to; that of the asking access comes last."""
    if not per_stream:
        yield 0, run.key
        return
    asking = int(run.stream[-1])
    if len(run.stream) == 1 or (run.stream == asking).all():
        yield asking, run.key
        return
    for stream in np.unique(run.stream).tolist():
        if stream != asking:
            yield stream, run.key[run.stream == stream]
    yield asking, run.key[run.stream == asking]


class LstmPolicy:
    """Asks the predictor for what follows the accesses so far, of the asking stream or of all.

    ``threshold`` is the least confidence that is prefetched; ``n_lines`` how many sequences keep a state.
    """

    def __init__(self, predictor: LstmPredictor, threshold: float, n_lines: int = 1) -> None:
        config = predictor.config
        self.predictor = predictor
        self.trigger = Trigger[config.trigger.upper()]
        self.footprint_bytes = 0
        if config.in_gpu_memory:
            state_bytes = 2 * 4 * config.hidden * config.layers
            self.footprint_bytes = predictor.kept.trained.model.n_bytes() + n_lines * state_bytes
        self.ahead = Ahead(predictor.horizon, config.per_stream)
        self._per_stream = config.per_stream
        self._is_carried = config.inference == "stateful"
        self._threshold = threshold
        self._lines: dict[int, Line] = {}

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """The host's clock runs from the keys to the chosen blocks; on a GPU that has copies in and out in it."""
        predictor = self.predictor
        start = time.perf_counter_ns()
        found: list[Found] = []
        asked: dict[int, Question] = {}
        for i, run in enumerate(runs):
            line = self._see(run)
            question_of = id(line.context) if self._is_carried else i
            if question_of in asked:
                # The state must have been run before it is asked again.
                found += predictor.answer(list(asked.values()))
                asked.clear()
            asked[question_of] = line.ask()
        if asked:
            found += predictor.answer(list(asked.values()))
        answers = [answer_of(f, self._threshold) for f in found]
        host_ns = time.perf_counter_ns() - start
        return Decision(answers, host_ns, predictor.take_device_ns())

    def _see(self, run: AccessRun) -> Line:
        """Add a run to the lines; the line of its last access."""
        for name, keys in by_line(run, per_stream=self._per_stream):
            if name not in self._lines:
                self._lines[name] = self.predictor.line()
            self.predictor.see(self._lines[name], keys)
        return self._lines[name]

    def told(self, told: Told) -> None:
        """Learns nothing while it runs."""


class BatchedLstmPolicy(LstmPolicy):
    """The same answers from predictions that were made beforehand: they depend on the accesses alone, not on the cache.

    No single call is timed: the charge must come from elsewhere.
    """

    def __init__(self, predictor: LstmPredictor, threshold: float, n_lines: int, tables: dict[int, Table]) -> None:
        super().__init__(predictor, threshold, n_lines)
        self._tables = tables
        self._n_seen = dict.fromkeys(tables, 0)

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """Look up what was predicted after the asking access."""
        answers = []
        for run in runs:
            for name, keys in by_line(run, per_stream=self._per_stream):
                self._n_seen[name] += len(keys)
            classes, confidences = self._tables[name].after(self._n_seen[name] - 1)
            found = self.predictor.decoded(int(run.key[-1]), classes, confidences)
            answers.append(answer_of(found, self._threshold))
        return Decision(answers)


def answer_of(found: Found, threshold: float) -> Answer:
    """What is prefetched of what was predicted."""
    wanted = [(key, confidence) for key, confidence in found if confidence >= threshold]
    best, confidence = found[0] if found else (None, float("nan"))
    return Answer([key for key, _ in wanted], [c for _, c in wanted], best, confidence)
