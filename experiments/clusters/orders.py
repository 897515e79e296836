"""What a worker of a cluster is told, and what comes back; both are pickled here, not by Ray.

So a worker with other code can say that it has, instead of failing to read what it is told.
"""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from experiments.config import Experiment
from experiments.crews import Task
from experiments.kept import Done
from experiments.shared import SharedTrace


@dataclass(frozen=True)
class Given:
    """What all runs of an experiment are told.

    ``token`` is also what a file holds in ``shared``, where traces are, and in the folder of models: who finds it there
    has the same disk. ``sources`` are hashes of what an arm's settings name outside of the config.
    """

    experiment: Experiment
    folder: Path
    shared: Path
    traces: Mapping[int, SharedTrace]
    token: str
    models: Path
    working_folder: Path
    sources: Mapping[str, list[str]]


@dataclass(frozen=True)
class Order:
    """A task, under the number by which it is told of. ``n_beside``: with so many on this machine, 0 for one a core."""

    number: int
    task: Task
    n_beside: int


class Code(NamedTuple):
    """What has to be the same on all machines."""

    hash: str
    versions: dict[str, str]

    @classmethod
    def here(cls) -> "Code":
        """This process's."""
        from experiments.single import code_hash, versions

        return cls(code_hash(), dict(versions()))

    def differs(self, other: "Code") -> str:
        """In what, in words; empty if in nothing."""
        names = [f"{n} {self.versions.get(n)}" for n in other.versions if self.versions.get(n) != other.versions[n]]
        if names:
            wanted = [f"{n} {other.versions[n]}" for n in other.versions if self.versions.get(n) != other.versions[n]]
            return f"has {', '.join(names)}; expected {', '.join(wanted)}, as here"
        if self.hash != other.hash:
            return f"has other code of tierfetch ({self.hash}); expected that of here ({other.hash})"
        return ""


@dataclass(frozen=True)
class Place:
    """Where a process is."""

    host: str
    pid: int
    node: str

    @classmethod
    def here(cls) -> "Place":
        """This process's."""
        import os

        import ray

        return cls(socket.gethostname(), os.getpid(), ray.get_runtime_context().get_node_id())


@dataclass(frozen=True)
class Answer:
    """What came of a task.

    ``kind``: done, failed (with an error), other (code, in words), unshared (it needs what the driver's disk has).
    ``files`` are a run's, below its folder, and ``models`` those that it needed, where the driver has not got them.
    """

    kind: str
    what: Done | BaseException | str | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    models: dict[str, bytes] = field(default_factory=dict)
    place: Place | None = None


@dataclass(frozen=True)
class Held:
    """Objects of the store: the columns of a trace, and the files of models by their names."""

    columns: Any = None
    models: Mapping[str, Any] = field(default_factory=dict)
