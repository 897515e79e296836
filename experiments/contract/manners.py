"""What a policy must leave alone: the arrays that it is shown, and the process that it runs in."""

import os
import random
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

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
    before = {name: state() for name, (_, state) in _STATES.items()}
    threads = set(threading.enumerate())
    it.said.clear()
    wrong = []
    try:
        steps = steps_of([3, 4, 5, 9, 8, 7] * 4, it.trigger, lengths=(1, 2), fates=tuple(Fate))
        policy = it.build()
        # Networks are made from torch's global state, and there is no other way; answers need not be.
        before["the random state of torch"] = _of_torch()
        answers_of(policy, steps[: it.n_of(15)])
    except OutsideError as error:
        if "forked" in error.lines[0]:
            raise
    finally:
        for name, (expected, state) in _STATES.items():
            if repr(before[name]) != repr(state()):
                wrong.append(f"{it.who}: changes {name}; expected {expected}")
        _put_back(before)
    wrong += [f"{said}; expected no output: a run has its own" for said in it.said]
    new = [thread.name for thread in threading.enumerate() if thread not in threads]
    if new:
        wrong.append(f"{it.who}: starts threads that go on ({', '.join(new)}); expected none")
    if wrong:
        raise Broken(*wrong)


def _of_torch() -> Any:
    # Only where somebody uses it: to import it takes seconds.
    torch: Any = sys.modules.get("torch")
    return torch.get_rng_state().numpy().tobytes() if torch is not None else b""


def _of_numpy() -> Any:
    state: Any = np.random.get_state(legacy=False)  # noqa: NPY002 - it is the one that must stay as it is
    return state["state"]["pos"], state["state"]["key"].tobytes()


_OWN = "numpy.random.default_rng(seed) or random.Random(seed), of a seed that its constructor takes"
_STATES: dict[str, tuple[str, Callable[[], Any]]] = {
    "the random state of random": (_OWN, random.getstate),
    "the random state of numpy.random": (
        _OWN,
        _of_numpy,
    ),
    "the random state of torch": ("a torch.Generator of its own", _of_torch),
    "the working folder": ("paths that are whole", os.getcwd),
    "the environment": ("settings in its constructor", lambda: dict(os.environ)),
    "what numpy does on floating-point errors": ("with numpy.errstate(...)", np.geterr),
    "what Ctrl-C does": ("to leave signals alone", lambda: signal.getsignal(signal.SIGINT)),
}


def _put_back(before: dict[str, Any]) -> None:
    os.chdir(before["the working folder"])
    for name in set(os.environ) - set(before["the environment"]):
        del os.environ[name]
    os.environ.update(before["the environment"])
    np.seterr(**before["what numpy does on floating-point errors"])
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, before["what Ctrl-C does"])
