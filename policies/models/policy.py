"""A network as a prefetch policy: a real forward pass a question, and a prefetch where the confidence is worth it."""

import time
from collections.abc import Iterator, Sequence

import numpy as np

from policies.models.codecs.base import Keys
from policies.models.encoder import NO_COLUMNS, Columns, Found
from policies.models.predictor import Line, Predictor, Question
from policies.paying import Rule
from policies.timing import Timing
from simulator.policy import AccessRun, Ahead, Answer, Decision, Told, Trigger


def by_line(run: AccessRun, *, per_stream: bool) -> Iterator[tuple[int, Keys, Columns]]:
    """The accesses of a run by the sequence that they belong to; that of the asking access comes last."""
    if not len(run):
        return
    if not per_stream:
        yield 0, run.key, run.columns
        return
    asking = int(run.stream[-1])
    if len(run.stream) == 1 or (run.stream == asking).all():
        yield asking, run.key, run.columns
        return
    for stream in np.unique(run.stream).tolist():
        if stream != asking:
            yield _of_stream(run, stream)
    yield _of_stream(run, asking)


def _of_stream(run: AccessRun, stream: int) -> tuple[int, Keys, Columns]:
    mine = run.stream == stream
    columns = {name: column[mine] for name, column in run.columns.items()} if run.columns else NO_COLUMNS
    return stream, run.key[mine], columns


class NetworkPolicy:
    """Asks the predictor for what follows the accesses so far, of the asking stream or of all.

    ``threshold`` is the least confidence that is prefetched; with a ``timing`` that follows what is heard
    (``policies.paying``). ``is_carried``: a line's state must have been run before it is asked again.
    """

    recalls = True

    def __init__(
        self, predictor: Predictor, trigger: str, threshold: float, timing: Timing | None = None, *, per_stream: bool,
        is_carried: bool, footprint_bytes: int = 0, needs: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self.predictor = predictor
        self.trigger = Trigger[trigger.upper()]
        self.footprint_bytes = footprint_bytes
        self.ahead = Ahead(predictor.ahead, per_stream)
        self.needs = needs
        self._per_stream = per_stream
        self._is_carried = is_carried
        self.rule = Rule(threshold, timing)
        self.hears = self.rule.hears
        self._lines: dict[int, Line] = {}

    def decide(self, runs: Sequence[AccessRun]) -> Decision:
        """The host's clock runs from the keys to the chosen blocks; on a GPU that has copies in and out in it."""
        predictor = self.predictor
        cpu = time.thread_time_ns()
        start = time.perf_counter_ns()
        found: dict[int, Found] = {}
        asked: dict[int, tuple[int, Question]] = {}

        def answer() -> None:
            places, questions = zip(*asked.values(), strict=True)
            found.update(zip(places, predictor.answer(questions), strict=True))
            asked.clear()

        for i, run in enumerate(runs):
            line = self._see(run)
            if not line.has_new:
                # A newer question about the same sequence has been answered: there is nothing to add to that.
                continue
            question_of = id(line.context) if self._is_carried else i
            if question_of in asked:
                # The state must have been run before it is asked again.
                answer()
            asked[question_of] = i, line.ask()
        if asked:
            answer()
        least = self.rule.least()
        answers = [answer_of(found[i], least) if i in found else Answer() for i in range(len(runs))]
        host_ns = time.perf_counter_ns() - start
        cpu_ns = time.thread_time_ns() - cpu
        return Decision(answers, *predictor.timed(host_ns), cpu_ns)

    def _see(self, run: AccessRun) -> Line:
        """Add a run to the lines; the line of its last access."""
        for name, keys, columns in by_line(run, per_stream=self._per_stream):
            if name not in self._lines:
                self._lines[name] = self.predictor.line()
            self.predictor.see(self._lines[name], keys, columns)
        return self._lines[self._line_of(run)]

    def _line_of(self, run: AccessRun) -> int:
        return run.asking[1] if self._per_stream else 0

    def told(self, told: Told) -> None:
        """Learns nothing while it runs but what pays."""
        self.rule.told(told)


def answer_of(found: Found, threshold: float) -> Answer:
    """What is prefetched of what was predicted."""
    wanted = [(key, confidence) for key, confidence in found if confidence >= threshold]
    best, confidence = found[0] if found else (None, float("nan"))
    return Answer([key for key, _ in wanted], [c for _, c in wanted], best, confidence)
