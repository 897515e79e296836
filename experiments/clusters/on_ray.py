"""The runs of an experiment on a cluster: what ``experiments.workers.side_by_side`` is on one machine.

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
from experiments.clusters.answers import Answers, model_of
from experiments.clusters.joined import MEASURED, Cluster
from experiments.clusters.orders import Code, Order, Place
from experiments.clusters.there import do
from experiments.config import Experiment
from experiments.exits import RunsDiedError
from experiments.interrupts import Interrupts
from experiments.kept import Done
from experiments.progress import OneRun
from experiments.shared import SharedTrace
from experiments.workers import Task, check_sendable
from simulator.errors import InputError, OutsideError

ATTEMPTS = 3
_LOST_NODES = 20
_LOOK_UP_EVERY_S = 0.2
_AHEAD = 2
"""So many times as many tasks are handed over as run at once: a node that is done need not wait for the driver."""
_STRAGGLES_FROM, _STRAGGLES_FROM_S = 3, 30.0


@dataclass
class _Flight:
    """A task that is handed over."""

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
    check_sendable(experiment)
    interrupts = Interrupts()
    driver = _Driver(cluster, experiment, folder, tasks, traces, show, alone=alone, is_shared=is_shared)
    try:
        yield from driver.run(interrupts)
    finally:
        interrupts.close()
        driver.stop()


class _Driver:
    def __init__(
        self, cluster: Cluster, experiment: Experiment, folder: Path, tasks: Sequence[Task],
        traces: Mapping[int, SharedTrace], show: Callable[[Task], OneRun], *, alone: bool, is_shared: bool,
    ) -> None:  # fmt: skip
        self._cluster, self._ray, self._show, self._alone = cluster, cluster.ray, show, alone
        self._answers = Answers(cluster, experiment, folder.resolve(), tasks, traces, is_shared=is_shared)
        self._given, self._code = self._answers.given, Code.here()
        self._waiting, self._dead = deque(tasks), list[Task]()
        self._flights: dict[Any, _Flight] = {}
        self._numbers: dict[int, Any] = {}
        self._n_lost: dict[str, int] = defaultdict(int)
        self._took: dict[str, list[float]] = defaultdict(list)
        self._seeds = sorted({task.run.seed for task in tasks})
        self._remote = self._ray.remote(max_retries=0, num_cpus=1)(do)
        self._n = 0

    def run(self, interrupts: Interrupts) -> Iterator[tuple[Task, Done | OutsideError | None]]:
        """Until nothing is left."""
        ray = self._ray
        self._given_ref = self._answers.put(pickle.dumps(self._given))
        while self._waiting or self._flights:
            interrupts.check()
            self._hand_over()
            ready, _ = ray.wait(list(self._flights), num_returns=1, timeout=_LOOK_UP_EVERY_S)
            if ready:
                ready, _ = ray.wait(list(self._flights), num_returns=len(self._flights), timeout=0)
            self._hear()
            for ref in ready:
                found = self._settle(ref, self._flights.pop(ref))
                if found is not None:
                    yield found
            self._watch()
        if self._dead:
            raise RunsDiedError(
                f"{'; '.join(f'{task.run} ({task.death})' for task in self._dead)}: the process died {ATTEMPTS} times "
                "without a result, perhaps for lack of memory; all other runs are kept: run the same command to try "
                "again"
            )

    def _hand_over(self) -> None:
        """As many tasks as are wanted now; those whose model is being trained wait for it."""
        nodes = self._cluster.nodes()
        if not nodes:
            return
        if self._alone:
            self._hand_over_alone(nodes)
            return
        training = {model_of(flight.task.run) for flight in self._flights.values() if flight.task.trains_only}
        for _ in range(len(self._waiting)):
            if len(self._flights) >= self._most():
                break
            task = self._waiting.popleft()
            if not task.trains_only and model_of(task.run) in training:
                self._waiting.append(task)
                continue
            if task.trains_only:
                training.add(model_of(task.run))
            gpus = {"num_gpus": 1} if task.run.arm.policy.learns and self._cluster.has_gpus else {}
            self._start(task, {"num_cpus": 1, **gpus}, n_beside=0)

    def _most(self) -> int:
        return self._cluster.n_at_once * (_AHEAD if not self._cluster.jobs else 1)

    def _hand_over_alone(self, nodes: list[dict[str, Any]]) -> None:
        """One a node, which it has for itself; those of a seed, which are compared in pairs, on the same one."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        chosen = [node for node in nodes if node["Resources"].get(MEASURED, 0) > 0] or nodes
        if self._cluster.jobs:
            chosen = chosen[: self._cluster.jobs]
        busy = {flight.node for flight in self._flights.values()}
        for _ in range(len(self._waiting)):
            task = self._waiting.popleft()
            node = chosen[self._seeds.index(task.run.seed) % len(chosen)]
            if node["NodeID"] in busy:
                self._waiting.append(task)
                continue
            busy.add(node["NodeID"])
            has = node["Resources"]
            options = {
                "num_cpus": int(has["CPU"]), **({"num_gpus": int(has["GPU"])} if has.get("GPU") else {}),
                "scheduling_strategy": NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
            }  # fmt: skip
            self._start(task, options, n_beside=1, node=str(node["NodeID"]))

    def _start(self, task: Task, options: dict[str, Any], *, n_beside: int, node: str = "") -> None:
        self._n += 1
        order = pickle.dumps(Order(self._n, task, n_beside))
        ref = self._remote.options(**options).remote(
            self._given_ref, order, self._answers.held(task), self._code, self._cluster.board
        )
        self._flights[ref] = _Flight(task, node=node)
        self._numbers[self._n] = ref

    def _hear(self) -> None:
        """What workers say."""
        try:
            said = self._ray.get(self._cluster.board.take.remote(self._given.token), timeout=10)
        except self._ray.exceptions.RayError:
            # It is started again where its node is gone; what was said is lost.
            return
        for number, kind, what in said:
            flight = self._flights.get(self._numbers.get(number))
            if flight is None:
                continue
            if kind == "began":
                flight.place, flight.began = what[0], time.monotonic()
                self._shown(flight)
            else:
                getattr(self._shown(flight), kind)(*what)

    def _shown(self, flight: _Flight) -> OneRun:
        if flight.shown is None:
            flight.shown = self._show(flight.task)
            flight.task.n_tries += 1
        return flight.shown

    def _settle(self, ref: Any, flight: _Flight) -> tuple[Task, Done | OutsideError | None] | None:
        """What came of a task, if it is over."""
        task, errors = flight.task, self._ray.exceptions
        try:
            answer = self._ray.get(ref)
        except errors.RayTaskError as error:
            self._answers.refuse(error)
            raise
        except errors.RayError as error:
            self._died(flight, error)
            return None
        if answer.kind == "unshared":
            self._answers.share_trace(task.run.seed)
            self._waiting.appendleft(task)
            return None
        if answer.kind == "other":
            raise InputError(f"--cluster {self._cluster.address.text}: {answer.what}")
        if answer.kind == "failed":
            self._answers.refuse(answer.what)
            raise answer.what
        shown, done = self._shown(flight), answer.what
        if isinstance(done, OutsideError):
            shown.failed()
            return task, done
        self._answers.keep(task, answer)
        if done is not None:
            self._took[task.run.arm.name].append(done.row["wall_with_training_s"])
        shown.finish(None if done is None else done.row)
        return task, done

    def _died(self, flight: _Flight, error: Exception) -> None:
        """Its process is gone, or its node with it: that is no fault of its own."""
        task, errors = flight.task, self._ray.exceptions
        self._answers.refuse(error)
        self._clear(flight)
        living = {str(node["NodeID"]) for node in self._cluster.nodes()}
        node = flight.node if flight.place is None else flight.place.node
        is_node = isinstance(error, errors.NodeDiedError | errors.TaskUnschedulableError) or bool(
            node and node not in living
        )
        where = f" on {flight.place.host}" if flight.place else ""
        task.death = f"{'its node is gone' if is_node else _said(error)}{where}"
        shown = self._shown(flight)
        key = f"{task.run} {task.trains_only}"
        if is_node:
            self._n_lost[key] += 1
            task.n_tries -= 1
        again = task.n_tries < ATTEMPTS and self._n_lost[key] < _LOST_NODES
        shown.died(task.death, again=again)
        if again:
            self._waiting.append(task)
        else:
            self._dead.append(task)

    def _clear(self, flight: _Flight) -> None:
        """What it was writing."""
        if flight.place is not None:
            remove_of(self._given.folder, flight.place.pid, flight.place.host)

    def _watch(self) -> None:
        """Say which runs take much longer than others of their arm."""
        for flight in self._flights.values():
            took = self._took[flight.task.run.arm.name]
            if flight.is_told or flight.place is None or flight.task.trains_only or len(took) < _STRAGGLES_FROM:
                continue
            usual, so_far = statistics.median(took), time.monotonic() - flight.began
            if so_far > max(_STRAGGLES_FROM_S, 3 * usual):
                flight.is_told = True
                self._shown(flight).said(
                    f"straggles on {flight.place.host}: {so_far:.0f} s so far, others {usual:.0f} s"
                )

    def stop(self) -> None:
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
        self._answers.close()


def _said(error: Exception) -> str:
    """How a process ended, as far as Ray knows."""
    name = type(error).__name__.removesuffix("Error")
    return {"OutOfMemory": "there was no memory left", "WorkerCrashed": "killed, or it crashed"}.get(name, name)
