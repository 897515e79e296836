"""What a policy must leave alone: the arrays that it is shown, and the process that it runs in."""

import threading
from typing import Any

import numpy as np

from experiments.contract.process import TORCH, Process
from experiments.contract.rules import Broken
from experiments.contract.stories import in_words, steps_of
from experiments.contract.subject import PolicySubject, answers_of
from simulator.errors import OutsideError
from simulator.policy import AccessRun, Fate


def leaves_arrays_alone(it: PolicySubject) -> None:
    """Raises Broken if it writes into what it is shown, with the line that does."""
    shown: list[tuple[str, np.ndarray[Any, Any], Any]] = []

    def show(run: AccessRun) -> AccessRun:
        shown[:] = [(name, run[name], run[name].copy()) for name in ("key", "stream", "outcome", *run.columns)]
        for _, column, _ in shown:
            column.flags.writeable = False
        return run

    steps = steps_of([3, 4, 5, 9, 8, 7] * 3, it.trigger, lengths=(1, 3))[: it.n_of(10)]
    why = "expected a copy first: x = run.key.copy()"
    try:
        answers_of(it.build(), steps, show)
    except OutsideError as error:
        if "read-only" in error.lines[0]:
            raise Broken(
                f"{it.who}: writes into the arrays of the run, which are not its own; {why}",
                in_words(steps[: error.nth_question + 1]),
                *error.lines[1:],
            ) from None
        return
    for name, now, before in shown:
        if not np.array_equal(now, before):
            raise Broken(f"{it.who}: writes into run.{name}, which is not its own; {why}")


def leaves_the_process_alone(it: PolicySubject) -> None:
    """Raises Broken if it does not, a line for each thing that it changes."""
    it.put_back()
    process, threads = Process(), set(threading.enumerate())
    it.said.clear()
    try:
        steps = steps_of([3, 4, 5, 9, 8, 7] * 4, it.trigger, lengths=(1, 2), fates=tuple(Fate))
        policy = it.build()
        # Networks are made from torch's global state, and there is no other way; answers need not be.
        process.note(TORCH)
        answers_of(policy, steps[: it.n_of(15)])
    except OutsideError as error:
        if "forked" in error.lines[0]:
            raise
    wrong = [f"{it.who}: changes {what}; expected {expected}" for what, expected in process.changed().items()]
    wrong += [f"{said}; expected no output: a run has its own" for said in it.said]
    new = [thread.name for thread in threading.enumerate() if thread not in threads]
    if new:
        wrong.append(f"{it.who}: starts threads that go on ({', '.join(new)}); expected none")
    if wrong:
        raise Broken(*wrong)
