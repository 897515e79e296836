"""Answers that must be the same: made again, beside another instance, in a batch."""

from collections.abc import Sequence

import numpy as np

from experiments.contract.rules import Broken, NotApplicable
from experiments.contract.stories import Step, steps_of
from experiments.contract.subject import PolicySubject, answers_of
from simulator.policy import AccessRun, Answer, Fate


def _alike(found: Sequence[Answer], expected: Sequence[Answer], what: str, tolerance: float = 0.0) -> list[str] | None:
    for i, (a, b) in enumerate(zip(found, expected, strict=True)):
        same = list(a.keys) == list(b.keys) and a.predicted_key == b.predicted_key
        if not same or not np.allclose(a.confidences, b.confidences, rtol=tolerance, atol=0):
            answers = (list(zip(one.keys, one.confidences, strict=True)) for one in (a, b))
            first, second = (f"{pairs[:4]}{'...' if len(pairs) > 4 else ''}" for pairs in answers)
            return [f"{what}: question {i + 1} is answered {first}; expected {second}, as before"]
    return None


def _told_steps(it: PolicySubject) -> list[Step]:
    if it.trace is not None:
        return it.of_trace(it.n_of(1000))
    rng = np.random.default_rng(4)
    keys = [*range(20), *[3, 1, 4, 15, 9, 2, 6] * 6, *rng.integers(0, 40, 40).tolist()]
    streams = [0] * 50 + [i % 3 for i in range(len(keys) - 50)]
    n = it.n_of(len(keys))
    return steps_of(keys[:n], it.trigger, streams=streams[:n], lengths=(1, 1, 1, 4), fates=tuple(Fate))


def deterministic(it: PolicySubject) -> None:
    """Raises Broken if not."""

    def fails(steps: list[Step]) -> list[str] | None:
        found = []
        for _ in range(2):
            it.shared.restore()
            found.append(answers_of(it.build(), steps))
        return _alike(found[1], found[0], f"{it.who}: made again with the same seed")

    it.must(_told_steps(it), fails)


def shares_nothing(it: PolicySubject) -> None:
    """Raises Broken if not, with the names of what they share."""
    guilty: list[str] = []

    def fails(steps: list[Step]) -> list[str] | None:
        it.shared.restore()
        alone = answers_of(it.build(), steps)
        it.shared.restore()
        policy, other = it.build(), it.build()
        others = steps_of(range(9000, 9000 + len(steps)), it.trigger)
        together, at = [], 0

        def show(run: AccessRun) -> AccessRun:
            nonlocal at
            answers_of(other, others[at : at + 1])
            at += 1
            return run

        together = answers_of(policy, steps, show)
        guilty[:] = it.shared.changed()
        return _alike(together, alone, f"{it.who}: beside another instance, which is shown other keys")

    if deterministic_or_not(it) is not None:
        raise NotApplicable("its answers differ without another instance")
    try:
        it.must(_told_steps(it), fails)
    except Broken as broken:
        raise Broken(*broken.lines, *(f"they share {', '.join(guilty)}" for _ in guilty[:1])) from None


def deterministic_or_not(it: PolicySubject) -> list[str] | None:
    """How two that are made alike differ; None if they do not."""
    try:
        deterministic(it)
    except Broken as broken:
        return broken.lines
    return None


def a_batch_as_one_by_one(it: PolicySubject) -> None:
    """Raises Broken if not."""
    if deterministic_or_not(it) is not None:
        raise NotApplicable("its answers differ anyhow")

    def fails(steps: list[Step]) -> list[str] | None:
        it.shared.restore()
        steps = [Step(one.keys, one.streams, one.outcomes, columns=one.columns) for one in steps]
        singly = answers_of(it.build(), steps)
        it.shared.restore()
        policy, n, runs = it.build(), 0, []
        for step in steps:
            runs.append(step.run(n, getattr(policy, "needs", ())))
            n += len(step.keys)
        together = policy.decide(runs).answers
        if len(together) != len(singly):
            return [f"{it.who}: decide of {len(runs)} runs gives {len(together)} answers; expected one for each"]
        return _alike(together, singly, f"{it.who}: asked together", tolerance=1e-4)

    it.must(_told_steps(it)[:12], fails)
