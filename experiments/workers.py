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
from experiments.crews import Died, Result, Task, Work, only_of
from experiments.exits import RunsDiedError
from experiments.folder import SHARED
from experiments.forking import start
from experiments.interrupts import Interrupts
from experiments.kept import Done
from experiments.progress import OneRun
from experiments.shared import SharedTrace
from experiments.single import prepare_one, run_one
from policies.models.threads import share_cores
from simulator.errors import InputError, OutsideError

ATTEMPTS = 2
_TELL_EVERY_S = 0.1
_LOOK_UP_EVERY_S = 1.0


def _serve(pipe: Connection, n_at_once: int) -> None:
    """What a process does: tasks, until there are no more or nobody asks. With the first comes what they are of."""
    from experiments.compiling import Announced

    share_cores(n_at_once)
    # Where an interrupt could not be held back at the start.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Where nobody is left who asks; if that one has not read all answers, the connection is not closed but reset.
    is_over = suppress(EOFError, BrokenPipeError, ConnectionResetError)
    with Announced(lambda text: pipe.send(("said", (text,)))), is_over:
        while True:
            task: Task
            given, task = pipe.recv()
            if given is not None:
                experiment, folder, traces = pickle.loads(given)
            try:
                pipe.send(("done", _do(task, pipe, experiment, folder, traces[task.run.seed])))
            except (BrokenPipeError, ConnectionResetError):
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
    work: Work
    task: Task
    shown: OneRun
    knows: Work | None = None

    def begin(self, given: bytes) -> None:
        """Hand it its task. If it has died since its last one, its pipe will say so."""
        self.task.n_tries += 1
        with suppress(OSError):
            self.pipe.send((None if self.knows is self.work else given, self.task))
        self.knows = self.work

    def death(self) -> str:
        """How it ended."""
        self.process.join()
        code = self.process.exitcode
        if code is None:
            return "how is not known: the process it was forked from is gone"
        return f"killed by signal {-code}" if code < 0 else f"exit code {code}"

    def end(self) -> None:
        """End it, and remove what it was writing."""
        self.process.kill()
        self.process.join()
        remove_of(self.work.folder, self.process.pid)


class Processes:
    """A crew on this machine; each process takes one task after the other, of whichever experiment."""

    def __init__(self, n_jobs: int, n_beside: int) -> None:
        """So many at once; each of them leaves cores to ``n_beside``, itself among them."""
        self.n_at_once = n_jobs
        self._n_beside = n_beside
        self._waiting = deque[tuple[Work, Task]]()
        self._idle, self._busy = list[_Worker](), dict[Any, _Worker]()
        self._needed = set[str]()
        # Of the experiment that was handed out last: they come one after the other.
        self._given: tuple[Work, bytes] | None = None

    @property
    def n_waiting(self) -> int:
        """How many tasks have not begun."""
        return len(self._waiting)

    @property
    def is_busy(self) -> bool:
        """Whether anything is left to be made."""
        return bool(self._waiting or self._busy)

    def add(self, work: Work, tasks: Sequence[Task]) -> None:
        """Make these, too. Raises InputError if the experiment cannot be handed to other processes."""
        check_sendable(work.experiment)
        self._needed.update(_needed(work.experiment))
        self._waiting.extend((work, task) for task in tasks)

    def _give(self, work: Work) -> bytes:
        if self._given is None or self._given[0] is not work:
            with _without_main():
                self._given = work, pickle.dumps((work.experiment, work.folder, dict(work.traces)))
        return self._given[1]

    def _set_to(self, work: Work, task: Task) -> _Worker:
        shown = work.show(task)
        if self._idle:
            return replace(self._idle.pop(), work=work, task=task, shown=shown)
        # The one that waits for the others ends them.
        with _without_main():
            process, pipe = start(_serve, (self._n_beside,), sorted(self._needed))
        return _Worker(process, pipe, work, task, shown)

    def step(self) -> Iterator[tuple[Work, Task, Result]]:
        """Wait a little, then say what is over. Raises whatever a run raises, as it would here."""
        while self._waiting and len(self._busy) < self.n_at_once:
            worker = self._set_to(*self._waiting.popleft())
            self._busy[worker.pipe] = worker
            worker.begin(self._give(worker.work))
        for pipe in wait(list(self._busy), _LOOK_UP_EVERY_S):
            worker = self._busy[pipe]
            try:
                kind, what = worker.pipe.recv()
            except (EOFError, OSError):
                del self._busy[pipe]
                if (died := self._died(worker)) is not None:
                    yield worker.work, worker.task, died
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
                self._idle.append(self._busy.pop(pipe))
                if isinstance(what, OutsideError):
                    worker.shown.failed()
                else:
                    worker.shown.finish(None if what is None else what.row)
                yield worker.work, worker.task, what

    def _died(self, worker: _Worker) -> Died | None:
        """A process is gone: its task waits once more, or is given up."""
        task, how = worker.task, worker.death()
        remove_of(worker.work.folder, worker.process.pid)
        task.death = how
        again = task.n_tries < ATTEMPTS
        worker.shown.died(how, again=again)
        if again:
            self._waiting.append((worker.work, task))
            return None
        return Died(f"{task.run} ({task.death})")

    def rest(self) -> None:
        """Processes that have nothing to do end."""
        for worker in self._idle:
            worker.end()
        self._idle.clear()

    def close(self) -> None:
        """End what is still under way, and remove what it was writing."""
        for worker in self._busy.values():
            worker.end()
        self._busy.clear()
        self.rest()


def died_of(deaths: Sequence[Died], n_attempts: int) -> RunsDiedError:
    """What is said when processes of some tasks died again and again."""
    return RunsDiedError(
        f"{'; '.join(death.line for death in deaths)}: the process died {n_attempts} times without a result, perhaps "
        "for lack of memory; all other runs are kept: run the same command to try again"
    )


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
    interrupts, crew, deaths = Interrupts(), Processes(n_jobs, min(n_jobs, len(tasks))), list[Died]()
    try:
        work = Work(experiment, folder, traces, folder / SHARED, show)
        for task, what in only_of(crew, work, tasks, interrupts.check):
            if isinstance(what, Died):
                deaths.append(what)
            else:
                yield task, what
    finally:
        interrupts.close()
        crew.close()
    if deaths:
        raise died_of(deaths, ATTEMPTS)
