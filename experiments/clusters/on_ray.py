"""Runs on a cluster: what ``experiments.workers`` is on one machine.

A run whose process or node dies is made again, elsewhere if need be; one that has killed several processes is set aside
while the others go on. What is measured has its node for itself. Files are written where the run is, if the folder is
there, too; else they come back through the store, and are written here.
"""

import pickle
import statistics
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.aside import remove_of
from experiments.clusters.answers import Answers, Model, Stock, model_of
from experiments.clusters.joined import MEASURED, Cluster
from experiments.clusters.orders import Code, Order, Place
from experiments.clusters.there import do
from experiments.config import Experiment
from experiments.crews import Died, Result, Task, Work, only_of
from experiments.folder import SHARED
from experiments.interrupts import Interrupts
from experiments.kept import Done
from experiments.progress import OneRun
from experiments.shared import SharedTrace
from experiments.workers import check_sendable, died_of
from simulator.errors import InputError, OutsideError

ATTEMPTS = 3
_LOST_NODES = 20
_LOOK_UP_EVERY_S = 0.2
_AHEAD = 2
"""So many times as many tasks are handed over as run at once: a node that is done need not wait for the driver."""
_STRAGGLES_FROM, _STRAGGLES_FROM_S = 3, 30.0
_REMEMBERED = 101
"""Of so many runs of an arm, the last ones, it is known how long they took."""


@dataclass
class _Flight:
    """A task that is handed over."""

    number: int
    work: Work
    task: Task
    shown: OneRun | None = None
    place: Place | None = None
    began: float = 0.0
    is_told: bool = False
    node: str = ""


def on_ray(
    cluster: Cluster,
    experiment: Experiment,
    folder: Path,
    tasks: Sequence[Task],
    traces: Mapping[int, SharedTrace],
    show: Callable[[Task], OneRun],
    *,
    alone: bool = False,
    is_shared: bool = True,
) -> Iterator[tuple[Task, Done | OutsideError | None]]:
    """Each task with what came of it as it is done, in any order; with ``alone`` one at a time on a node.

    Without ``is_shared`` nobody is taken to have this machine's disk.

    Raises:
        InputError: a class of settings is the calling script's own, a node has other code, or the store is full.
        RunsDiedError: the processes of a task died each time; all others are done.
        Exception: whatever a run raises, as it would here.
    """
    interrupts, deaths = Interrupts(), list[Died]()
    crew = OnRay(cluster, alone=alone, is_shared=is_shared)
    try:
        for task, what in only_of(
            crew, Work(experiment, folder, traces, folder / SHARED, show), tasks, interrupts.check
        ):
            if isinstance(what, Died):
                deaths.append(what)
            else:
                yield task, what
    finally:
        interrupts.close()
        crew.close()
    if deaths:
        raise died_of(deaths, ATTEMPTS)


@dataclass
class _Taken:
    """What is kept of an experiment for as long as it has tasks here."""

    answers: Answers
    given: Any
    seeds: list[int]
    n_left: int
    took: dict[str, deque[float]]


class OnRay:
    """A crew on a cluster; ``alone``: tasks have a node each, with all of its cores."""

    def __init__(self, cluster: Cluster, *, alone: bool, is_shared: bool = True, beside: "OnRay | None" = None) -> None:
        """With ``beside``, a crew that rests when this one works, all that is in the store is both's."""
        self._cluster, self._ray, self._alone = cluster, cluster.ray, alone
        self._stock: Stock = Stock(cluster, is_shared=is_shared) if beside is None else beside._stock
        self._code = Code.here()
        self._waiting = deque[tuple[Work, Task]]()
        self._blocked: dict[Model, list[tuple[Work, Task]]] = {}
        self._training: dict[Model, Task] = {}
        self._flights: dict[Any, _Flight] = {}
        self._refs: dict[int, Any] = {}
        self._of: dict[Work, _Taken] = {}
        self._n_lost: dict[str, int] = defaultdict(int)
        self._remote = self._ray.remote(max_retries=0, num_cpus=1)(do)
        self._looked = 0.0

    @property
    def n_at_once(self) -> int:
        """How many tasks, side by side."""
        return self._cluster.n_at_once

    @property
    def n_waiting(self) -> int:
        """How many tasks are not handed over, and may be."""
        return len(self._waiting)

    @property
    def is_busy(self) -> bool:
        """Whether anything is left to be made."""
        return bool(self._waiting or self._blocked or self._flights)

    def add(self, work: Work, tasks: Sequence[Task]) -> None:
        """Make these, too.

        Raises:
            InputError: a class of settings is the calling script's own, or the store is full.
        """
        check_sendable(work.experiment)
        answers = Answers(self._stock, work, tasks)
        given = self._stock.put(pickle.dumps(answers.given))
        seeds = sorted({task.run.seed for task in tasks})
        self._of[work] = _Taken(answers, given, seeds, len(tasks), defaultdict(lambda: deque(maxlen=_REMEMBERED)))
        self._waiting.extend((work, task) for task in tasks)

    def step(self) -> Iterator[tuple[Work, Task, Result]]:
        """Wait a little, then say what is over.

        Raises:
            InputError: a node has other code, or the store is full.
            Exception: whatever a run raises, as it would here.
        """
        ray = self._ray
        self._hand_over()
        if self._flights:
            ready, _ = ray.wait(list(self._flights), num_returns=1, timeout=_LOOK_UP_EVERY_S)
            if ready:
                ready, _ = ray.wait(list(self._flights), num_returns=len(self._flights), timeout=0)
        else:
            # Of nodes there are none, or those that there are are others'.
            time.sleep(_LOOK_UP_EVERY_S)
            ready = []
        self._hear()
        for ref in ready:
            flight = self._flights.pop(ref)
            self._refs.pop(flight.number, None)
            found = self._settle(ref, flight)
            if found is None:
                continue
            self._is_over(flight)
            yield flight.work, flight.task, found[0]
        if time.monotonic() - self._looked >= _LOOK_UP_EVERY_S:
            self._looked = time.monotonic()
            self._watch()

    def _is_over(self, flight: _Flight) -> None:
        """A task is settled: of an experiment that has no others nothing is kept."""
        of = self._of[flight.work]
        of.n_left -= 1
        if of.n_left == 0:
            del self._of[flight.work]
            self._stock.keep_traces(self._of)

    def _hand_over(self) -> None:
        """As many tasks as are wanted now; those whose model is being trained wait for it."""
        nodes = self._cluster.nodes()
        if not nodes:
            return
        if self._alone:
            self._hand_over_alone(nodes)
            return
        while self._waiting and len(self._flights) < self._most():
            work, task = self._waiting.popleft()
            learns = task.run.arm.policy.learns
            model = model_of(work, task.run) if learns else None
            if model in self._training:
                self._blocked.setdefault(model, []).append((work, task))
                continue
            if model is not None and task.trains_only:
                self._training[model] = task
            gpus = {"num_gpus": 1} if learns and self._cluster.has_gpus else {}
            self._start(work, task, {"num_cpus": 1, **gpus}, n_beside=0)

    def _let_on(self, flight: _Flight) -> None:
        """What has waited for the training of a model goes on, however that ended."""
        if not flight.task.trains_only:
            return
        model = model_of(flight.work, flight.task.run)
        if self._training.pop(model, None) is not None:
            self._waiting.extendleft(reversed(self._blocked.pop(model, [])))

    def _most(self) -> int:
        return self._cluster.n_at_once * (_AHEAD if not self._cluster.jobs else 1)

    def _hand_over_alone(self, nodes: list[dict[str, Any]]) -> None:
        """One a node, which it has for itself; those of a seed, which are compared in pairs, on the same one."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        chosen = [node for node in nodes if node["Resources"].get(MEASURED, 0) > 0] or nodes
        if self._cluster.jobs:
            chosen = chosen[: self._cluster.jobs]
        busy = {flight.node for flight in self._flights.values()}
        free = {str(node["NodeID"]) for node in chosen} - busy
        kept = list[tuple[Work, Task]]()
        while self._waiting and free:
            work, task = self._waiting.popleft()
            node = chosen[self._of[work].seeds.index(task.run.seed) % len(chosen)]
            if node["NodeID"] not in free:
                kept.append((work, task))
                continue
            free.discard(node["NodeID"])
            has = node["Resources"]
            options = {
                "num_cpus": int(has["CPU"]), **({"num_gpus": int(has["GPU"])} if has.get("GPU") else {}),
                "scheduling_strategy": NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
            }  # fmt: skip
            self._start(work, task, options, n_beside=1, node=str(node["NodeID"]))
        # In the order in which they were.
        self._waiting.extendleft(reversed(kept))

    def _start(self, work: Work, task: Task, options: dict[str, Any], *, n_beside: int, node: str = "") -> None:
        of, number = self._of[work], next(self._stock.numbers)
        order = pickle.dumps(Order(number, task, n_beside))
        ref = self._remote.options(**options).remote(
            of.given, order, of.answers.held(task), self._code, self._cluster.board
        )
        self._flights[ref] = _Flight(number, work, task, node=node)
        self._refs[number] = ref

    def _hear(self) -> None:
        """What workers say."""
        try:
            said = self._ray.get(self._cluster.board.take.remote(self._stock.token), timeout=10)
        except self._ray.exceptions.RayError:
            # It is started again where its node is gone; what was said is lost.
            return
        for number, kind, what in said:
            flight = self._flights.get(self._refs.get(number))
            if flight is None:
                continue
            if kind == "began":
                flight.place, flight.began = what[0], time.monotonic()
                self._shown(flight)
            else:
                getattr(self._shown(flight), kind)(*what)

    def _shown(self, flight: _Flight) -> OneRun:
        if flight.shown is None:
            flight.shown = flight.work.show(flight.task)
            flight.task.n_tries += 1
        return flight.shown

    def _settle(self, ref: Any, flight: _Flight) -> tuple[Result] | None:
        """What came of a task, if it is over."""
        task, errors, answers = flight.task, self._ray.exceptions, self._of[flight.work].answers
        try:
            answer = self._ray.get(ref)
        except errors.RayTaskError as error:
            self._stock.refuse(error)
            raise
        except errors.RayError as error:
            return self._died(flight, error)
        if answer.kind == "unshared":
            answers.share_trace(task.run.seed)
            if task.trains_only:
                self._training.pop(model_of(flight.work, task.run), None)
            self._waiting.appendleft((flight.work, task))
            return None
        if answer.kind == "other":
            raise InputError(f"--cluster {self._cluster.address.text}: {answer.what}")
        if answer.kind == "failed":
            self._stock.refuse(answer.what)
            raise answer.what
        shown, done = self._shown(flight), answer.what
        self._let_on(flight)
        if isinstance(done, OutsideError):
            shown.failed()
            return (done,)
        answers.keep(task, answer)
        if done is not None:
            self._of[flight.work].took[task.run.arm.name].append(done.row["wall_with_training_s"])
        shown.finish(None if done is None else done.row)
        return (done,)

    def _died(self, flight: _Flight, error: Exception) -> tuple[Died] | None:
        """Its process is gone, or its node with it: that is no fault of its own."""
        task, errors = flight.task, self._ray.exceptions
        self._stock.refuse(error)
        self._clear(flight)
        living = {str(node["NodeID"]) for node in self._cluster.nodes()}
        node = flight.node if flight.place is None else flight.place.node
        is_node = isinstance(error, errors.NodeDiedError | errors.TaskUnschedulableError) or bool(
            node and node not in living
        )
        where = f" on {flight.place.host}" if flight.place else ""
        task.death = f"{'its node is gone' if is_node else _said(error)}{where}"
        shown = self._shown(flight)
        key = f"{flight.work.folder} {task.run} {task.trains_only}"
        if is_node:
            self._n_lost[key] += 1
            task.n_tries -= 1
        again = task.n_tries < ATTEMPTS and self._n_lost[key] < _LOST_NODES
        shown.died(task.death, again=again)
        if again:
            if task.trains_only:
                self._training.pop(model_of(flight.work, task.run), None)
            self._waiting.append((flight.work, task))
            return None
        self._let_on(flight)
        return (Died(f"{task.run} ({task.death})"),)

    def _clear(self, flight: _Flight) -> None:
        """What it was writing."""
        if flight.place is not None:
            remove_of(flight.work.folder, flight.place.pid, flight.place.host)

    def _watch(self) -> None:
        """Say which runs take much longer than others of their arm."""
        now = time.monotonic()
        for flight in self._flights.values():
            so_far = now - flight.began
            if flight.is_told or flight.place is None or flight.task.trains_only or so_far <= _STRAGGLES_FROM_S:
                continue
            took = self._of[flight.work].took[flight.task.run.arm.name]
            if len(took) >= _STRAGGLES_FROM and so_far > 3 * (usual := statistics.median(took)):
                flight.is_told = True
                self._shown(flight).said(
                    f"straggles on {flight.place.host}: {so_far:.0f} s so far, others {usual:.0f} s"
                )

    def rest(self) -> None:
        """Processes are Ray's."""

    def close(self) -> None:
        """End what is still under way, and remove what it was writing."""
        refs = list(self._flights)
        with suppress(Exception):
            self._hear()
        for ref in refs:
            with suppress(Exception):
                self._ray.cancel(ref, force=True)
        with suppress(Exception):
            if refs:
                self._ray.wait(refs, num_returns=len(refs), timeout=10)
        for flight in self._flights.values():
            self._clear(flight)
        self._flights.clear()
        self._stock.close()


def _said(error: Exception) -> str:
    """How a process ended, as far as Ray knows."""
    name = type(error).__name__.removesuffix("Error")
    return {"OutOfMemory": "there was no memory left", "WorkerCrashed": "killed, or it crashed"}.get(name, name)
