"""What goes to the workers of a cluster beside their orders, and what comes back with their answers."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from experiments.aside import written_aside
from experiments.clusters.joined import Cluster
from experiments.clusters.orders import Answer, Given, Held
from experiments.clusters.there import TOKEN
from experiments.config import Experiment
from experiments.folder import SHARED
from experiments.kept import Done
from experiments.plan import Run
from experiments.shared import SharedTrace
from experiments.workers import Task
from policies.models.places import models_folder
from simulator.errors import InputError

Model = tuple[str, int]


def model_of(run: Run) -> Model:
    """What tells the models of an experiment apart: runs with the same need the same one."""
    return run.arm.policy.core.model_dump_json(), run.seed


class Answers:
    """Puts traces and models into the store where disks are not shared, and writes what comes back."""

    def __init__(
        self, cluster: Cluster, experiment: Experiment, folder: Path, tasks: Sequence[Task],
        traces: Mapping[int, SharedTrace], *, is_shared: bool,
    ) -> None:  # fmt: skip
        from experiments.single import sources_of

        self._cluster, self._folder, self._traces = cluster, folder, traces
        arms = {task.run.arm.name: task.run.arm for task in tasks}
        sources = {name: sources_of(experiment, arm) for name, arm in arms.items()}
        token = secrets.token_hex(16)
        self.given = Given(experiment, folder, traces, token, models_folder().resolve(), Path.cwd(), sources)
        self._columns: dict[SharedTrace, Any] = {}
        self._models: dict[Model, dict[str, Any]] = {}
        self._tokens: list[Path] = []
        if is_shared:
            learns = any(arm.policy.learns for arm in arms.values())
            for place in (folder / SHARED, *([self.given.models] if learns else [])):
                place.mkdir(parents=True, exist_ok=True)
                self._tokens.append(place / TOKEN)
                with written_aside(place / TOKEN) as aside:
                    aside.write_text(token)

    def close(self) -> None:
        """Its files go."""
        for path in self._tokens:
            with suppress(OSError):
                path.unlink(missing_ok=True)

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

    def share_trace(self, seed: int) -> None:
        """From now on it is in the store: somebody has not got the disk. Once, if several seeds have the same."""
        trace = self._traces[seed]
        if trace not in self._columns:
            self._columns[trace] = self.put(trace.columns())

    def held(self, task: Task) -> Held:
        """What a task may need from the store."""
        columns = self._columns.get(self._traces[task.run.seed]) if self._traces else None
        return Held(columns, self._models.get(model_of(task.run), {}))

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
                path = self._folder / name
                path.parent.mkdir(exist_ok=True)
                with written_aside(path) as aside:
                    aside.write_bytes(content)
        for name, content in answer.models.items():
            path = self.given.models / name
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                with written_aside(path) as aside:
                    aside.write_bytes(content)
            self._models.setdefault(model_of(task.run), {})[name] = self.put(content)
