"""What goes to the workers of a cluster beside their orders, and what comes back with their answers."""

import hashlib
import itertools
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from experiments.aside import written_aside
from experiments.clusters.joined import Cluster
from experiments.clusters.orders import Answer, Given, Held
from experiments.clusters.there import TOKEN
from experiments.crews import Task, Work
from experiments.kept import Done
from experiments.plan import Run
from policies.models.places import models_folder
from simulator.errors import InputError

Model = tuple[str, int, str, float]


def of_model(run: Run) -> tuple[str, int]:
    """What tells the models of an experiment apart: runs with the same need the same one."""
    return run.arm.policy.core.model_dump_json(), run.seed


def model_of(work: Work, run: Run) -> Model:
    """What tells models apart, also those of several experiments."""
    return *of_model(run), work.traces[run.seed].sha256, work.experiment.workload.train_ratio


class Stock:
    """What the store holds for all that a crew makes, and the files by which workers know the driver's disk."""

    def __init__(self, cluster: Cluster, *, is_shared: bool) -> None:
        self._cluster, self._is_shared = cluster, is_shared
        self.token = secrets.token_hex(16)
        # By a trace's SHA-256: experiments may have the same.
        self.columns: dict[str, Any] = {}
        self.models: dict[Model, dict[str, Any]] = {}
        self.numbers = itertools.count(1)
        """Of tasks."""
        self._places = set[Path]()

    def mark(self, place: Path) -> None:
        """Who finds the token there has the same disk."""
        if not self._is_shared or place in self._places:
            return
        place.mkdir(parents=True, exist_ok=True)
        self._places.add(place)
        with written_aside(place / TOKEN) as aside:
            aside.write_text(self.token)

    def close(self) -> None:
        """Its files go."""
        for place in self._places:
            with suppress(OSError):
                (place / TOKEN).unlink(missing_ok=True)

    def keep_traces(self, needed: Iterable[Work]) -> None:
        """Those that nobody needs any more go out of the store."""
        shas = {trace.sha256 for work in needed for trace in work.traces.values()} if self.columns else set()
        self.columns = {sha: columns for sha, columns in self.columns.items() if sha in shas}

    def put(self, thing: Any) -> Any:
        """An object into the store. Raises InputError if there is no room."""
        try:
            return self._cluster.ray.put(thing)
        except self._cluster.ray.exceptions.RayError as error:
            self.refuse(error)
            raise

    def refuse(self, error: Any) -> None:
        """Raises InputError of what is the cluster's: no room in its store, or another installation."""
        errors, where = self._cluster.ray.exceptions, f"--cluster {self._cluster.address.text}"
        cause = getattr(error, "cause", None) or error
        if isinstance(cause, errors.ObjectStoreFullError | errors.OutOfDiskError):
            raise InputError(
                f"{where}: the object store is full; expected a larger one (ray start --object-store-memory), or --out "
                "in a folder that all nodes have"
            ) from None
        if isinstance(error, errors.RayTaskError) and isinstance(cause, ImportError):
            raise InputError(f"{where}: a node lacks what is here ({cause}); expected the same installation") from None


class Answers:
    """Puts an experiment's traces and models into the store where disks are not shared, and writes what comes back."""

    def __init__(self, stock: Stock, work: Work, tasks: Sequence[Task]) -> None:
        from experiments.single import sources_of

        self._stock, self._work = stock, work
        arms = {task.run.arm.name: task.run.arm for task in tasks}
        sources = {name: sources_of(work.experiment, arm) for name, arm in arms.items()}
        self.given = Given(
            work.experiment, work.folder.resolve(), work.shared.resolve(), work.traces, stock.token,
            models_folder().resolve(), Path.cwd(), sources,
        )  # fmt: skip
        stock.mark(self.given.shared)
        if any(arm.policy.learns for arm in arms.values()):
            stock.mark(self.given.models)

    def share_trace(self, seed: int) -> None:
        """From now on it is in the store: somebody has not got the disk. Once, if several have the same."""
        trace = self._work.traces[seed]
        if trace.sha256 not in self._stock.columns:
            self._stock.columns[trace.sha256] = self._stock.put(trace.columns())

    def held(self, task: Task) -> Held:
        """What a task may need from the store."""
        run, work = task.run, self._work
        columns = self._stock.columns.get(work.traces[run.seed].sha256) if work.traces else None
        return Held(columns, self._stock.models.get(model_of(work, run), {}) if run.arm.policy.learns else {})

    def keep(self, task: Task, answer: Answer) -> None:
        """Write what has come back.

        Raises:
            OSError: there is no room.
            RuntimeError: it is not what was sent.
        """
        done = answer.what
        if isinstance(done, Done):
            for name, content in answer.files.items():
                if (len(content), hashlib.sha256(content).hexdigest()) != done.files[name]:
                    raise RuntimeError(f"{task.run}: {name} is not what was written")
                path = self.given.folder / name
                path.parent.mkdir(exist_ok=True)
                with written_aside(path) as aside:
                    aside.write_bytes(content)
        for name, content in answer.models.items():
            path = self.given.models / name
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                with written_aside(path) as aside:
                    aside.write_bytes(content)
            self._stock.models.setdefault(model_of(self._work, task.run), {})[name] = self._stock.put(content)
