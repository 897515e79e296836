"""Runs in processes side by side: one that dies is started again, and no other run is lost with it."""

import pickle
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import ModuleType
from typing import Any

from experiments.aside import remove_of
from experiments.config import Experiment
from experiments.exits import RunsDiedError
from experiments.forking import start
from experiments.interrupts import Interrupts
from experiments.kept import Done
from experiments.plan import Run
from experiments.progress import OneRun
from experiments.shared import SharedTrace
from experiments.single import prepare_one, run_one
from policies.models.threads import share_cores
from simulator.errors import InputError, OutsideError

ATTEMPTS = 2
_TELL_EVERY_S = 0.1
_LOOK_UP_EVERY_S = 1.0


@dataclass
class Task:
    """A run; or, ahead of it, the training of its model, which leaves nothing."""

    run: Run
    n_warm_up: int = 0
    trains_only: bool = False
    watches: bool = False
    n_tries: int = 0
    death: str = ""


def _serve(
    pipe: Connection, experiment: Experiment, folder: Path, traces: Mapping[int, SharedTrace], n_at_once: int
) -> None:
    """What a process does: tasks, until there are no more or nobody asks."""
    from experiments.compiling import Announced

    share_cores(n_at_once)
    # Where an interrupt could not be held back at the start.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Announced(lambda text: pipe.send(("said", (text,)))), suppress(EOFError, BrokenPipeError):
        while True:
            task: Task = pipe.recv()
            try:
                pipe.send(("done", _do(task, pipe, experiment, folder, traces[task.run.seed])))
            except BrokenPipeError:
                raise
            except OutsideError as error:
                pipe.send(("done", error))
            except Exception as error:
                error.add_note(traceback.format_exc())
                pipe.send(("failed", error))


def _do(task: Task, pipe: Connection, experiment: Experiment, folder: Path, trace: SharedTrace) -> Done | None:
    """One task, and what came of it."""
    told = 0.0

    def tell(kind: str, *what: Any) -> None:
        nonlocal told
        if kind == "epoch" or time.monotonic() - told >= _TELL_EVERY_S:
            told = time.monotonic()
            pipe.send((kind, what))

    def tell_epoch(*epoch: Any) -> None:
        tell("epoch", *epoch)

    if task.trains_only:
        prepare_one(experiment, task.run, tell_epoch, trace)
        return None
    return run_one(
        experiment, task.run, folder, task.n_warm_up, lambda *done: tell("accesses", *done), tell_epoch, trace,
        say=lambda text: pipe.send(("said", (text,))), watches=task.watches,
    )  # fmt: skip


@contextmanager
def _without_main() -> Iterator[None]:
    """A process that is started meanwhile does not run the script again that started it.

    multiprocessing imports the main module anew in each process: a script without ``if __name__ == "__main__"`` would
    start its own experiment there. Nothing of it is needed: settings are of modules that can be imported.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def check_sendable(experiment: Experiment) -> None:
    """Raises InputError of what is the script's or the notebook's own: classes of settings, and those they name."""
    _, is_named, name = experiment.model_dump_json().partition('"__main__:')
    if is_named:
        name = name.partition('"')[0]
        raise InputError(
            f"jobs: __main__:{name}: is of the script, which other processes do not have; expected it in a file, "
            f"./file.py:{name}, or one job"
        )
    try:
        with _without_main():
            pickle.dumps(experiment)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InputError(
            f"jobs: this experiment cannot be handed to other processes: {error}; expected classes of a file that can "
            "be imported, or one job"
        ) from None


def _needed(experiment: Experiment) -> list[str]:
    """Ours that take long to import, as torch comes with them: what builds policies lies beside their settings."""
    modules = [type(arm.policy.core).__module__.rpartition(".") for arm in experiment.arms if arm.policy.learns]
    # Others' may be edited between two experiments: each process imports them anew.
    return sorted({f"{package}.build" for package, _, _ in modules if package.startswith("policies.")})


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    task: Task
    shown: OneRun

    def begin(self) -> None:
        """Hand it its task. If it has died since its last one, its pipe will say so."""
        self.task.n_tries += 1
        with suppress(OSError):
            self.pipe.send(self.task)

    def death(self) -> str:
        """How it ended."""
        self.process.join()
        code = self.process.exitcode
        if code is None:
            return "how is not known: the process it was forked from is gone"
        return f"killed by signal {-code}" if code < 0 else f"exit code {code}"


def side_by_side(
    experiment: Experiment,
    folder: Path,
    tasks: Sequence[Task],
    n_jobs: int,
    traces: Mapping[int, SharedTrace],
    show: Callable[[Task], OneRun],
) -> Iterator[tuple[Task, Done | OutsideError | None]]:
    """Each task with what came of it as it is done, in any order.

    Raises:
        InputError: a class of settings is the calling script's own.
        RunsDiedError: the processes of a task died each time; all others are done.
        Exception: whatever a run raises, as it would here.
    """
    check_sendable(experiment)
    waiting, dead, interrupts = deque(tasks), list[Task](), Interrupts()
    idle, busy = list[_Worker](), dict[Any, _Worker]()
    n_at_once = min(n_jobs, len(tasks))

    def set_to(task: Task) -> _Worker:
        shown = show(task)
        if idle:
            return replace(idle.pop(), task=task, shown=shown)
        # The one that waits for the others ends them.
        with _without_main():
            process, pipe = start(_serve, (experiment, folder, dict(traces), n_at_once), _needed(experiment))
        return _Worker(process, pipe, task, shown)

    try:
        while waiting or busy:
            interrupts.check()
            while waiting and len(busy) < n_jobs:
                worker = set_to(waiting.popleft())
                busy[worker.pipe] = worker
                worker.begin()
            for pipe in wait(list(busy), _LOOK_UP_EVERY_S):
                worker = busy[pipe]
                try:
                    kind, what = worker.pipe.recv()
                except (EOFError, OSError):
                    del busy[pipe]
                    how = worker.death()
                    remove_of(folder, worker.process.pid)
                    worker.task.death = how
                    again = worker.task.n_tries < ATTEMPTS
                    worker.shown.died(how, again=again)
                    (waiting if again else dead).append(worker.task)
                    continue
                if kind == "accesses":
                    worker.shown.accesses(*what)
                elif kind == "epoch":
                    worker.shown.epoch(*what)
                elif kind == "said":
                    worker.shown.said(*what)
                elif kind == "failed":
                    raise what
                else:
                    idle.append(busy.pop(pipe))
                    if isinstance(what, OutsideError):
                        worker.shown.failed()
                    else:
                        worker.shown.finish(None if what is None else what.row)
                    yield worker.task, what
    finally:
        interrupts.close()
        for worker in [*idle, *busy.values()]:
            worker.process.kill()
            worker.process.join()
            remove_of(folder, worker.process.pid)
    if dead:
        raise RunsDiedError(
            f"{'; '.join(f'{task.run} ({task.death})' for task in dead)}: the process died {ATTEMPTS} times without a "
            "result, perhaps for lack of memory; all other runs are kept: run the same command to try again"
        )
