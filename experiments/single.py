"""One run: an arm with a seed, from the trace to its tables and its row."""

import hashlib
import platform
import time
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from experiments.config import Arm, Experiment
from experiments.metrics import run_metrics
from experiments.recording import make_charge, replay_key
from experiments.tables import RunTables
from policies.registry import Training
from policies.registry import build as build_policy
from simulator.accounting import Books, BooksError
from simulator.charge import Replay
from simulator.engine import Engine
from simulator.errors import InputError
from simulator.trace import COLUMNS, Batch, Workload, part
from workloads.registry import build as build_workload

Progress = Callable[[int], None]
TrainingProgress = Callable[[int, int, float, float], None]


class HashedWorkload:
    """A workload that hashes the accesses it hands out, so that arms can be shown to have seen the same."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self.n_streams = workload.n_streams
        self.digest = hashlib.sha256()

    def length(self) -> int:
        """How many accesses there are."""
        return self._workload.length()

    def batches(self) -> Iterator[Batch]:
        """The trace, from its start."""
        self.digest = hashlib.sha256()
        for batch in self._workload.batches():
            for name in COLUMNS:
                self.digest.update(np.ascontiguousarray(getattr(batch, name)).data)
            yield batch


def versions() -> dict[str, str]:
    """What computed the results."""
    found = {"python": platform.python_version()}
    for package in ("tierfetch", "numpy", "numba", "simpy", "pyarrow", "torch"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


@cache
def code_hash() -> str:
    """A hash of the sources that shape a result, so that a change of the code is never served old results."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for package in ("simulator", "policies", "workloads"):
        for source in sorted((root / package).rglob("*.py")):
            digest.update(source.relative_to(root).as_posix().encode())
            digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def run_hash(experiment: Experiment, arm: Arm, seed: int) -> str:
    """What makes a run the same run: workload, system, arm, seed, tables, code."""
    return experiment.hash_of(
        arm.model_dump(mode="json"), seed, experiment.output.model_dump(mode="json"), code_hash(),
        system=experiment.system_of(arm),
    )  # fmt: skip


def training_keys(workload: Workload, n_train: int, per_stream: bool = True) -> list[npt.NDArray[np.uint64]]:
    """The keys of each stream in the first ``n_train`` accesses, or of all streams in the trace's order."""
    if not per_stream:
        return [np.concatenate([batch.key for batch in part(workload.batches(), 0, n_train)])]
    keys: list[list[npt.NDArray[np.uint64]]] = [[] for _ in range(workload.n_streams)]
    for batch in part(workload.batches(), 0, n_train):
        for stream in np.unique(batch.stream).tolist():
            keys[stream].append(batch.key[batch.stream == stream])
    return [np.concatenate(pieces) for pieces in keys if pieces]


def run_one(
    experiment: Experiment,
    arm: Arm,
    seed: int,
    folder: Path,
    progress: Progress | None = None,
    training_progress: TrainingProgress | None = None,
) -> dict[str, Any]:
    """Run, write the run's tables, and return its row. On any error nothing of it is left in the folder.

    Raises:
        InputError: the trace, the recording or the system does not fit.
    """
    started = time.perf_counter()
    workload = HashedWorkload(build_workload(experiment.workload.source, seed))
    n_train = int(workload.length() * experiment.workload.train_ratio)
    if n_train >= workload.length():
        raise InputError("workload.train_ratio: leaves no access to judge on; expected a smaller share")
    charge, recording = make_charge(experiment, arm, seed)
    n_learned = 0

    def sequences(per_stream: bool) -> list[npt.NDArray[np.uint64]]:
        nonlocal n_learned
        keys = training_keys(workload, n_train, per_stream)
        n_learned = sum(len(of_stream) for of_stream in keys)
        return keys

    built = build_policy(arm.policy, Training(sequences, seed, training_progress))
    system = experiment.system_of(arm)
    output = experiment.output
    tables = {name for name in ("accesses", "prefetches", "inferences") if getattr(output, name)} | {"windows"}
    if built.training:
        tables.add("training")
    sink = RunTables(folder, arm.name, seed, tables)
    books = Books(sink, output.window, first_access=n_train)
    try:
        engine = Engine(
            system, experiment.workload.arrivals, workload, built.policy, charge, books,
            seed=seed, first_access=n_train, progress=progress,
        )  # fmt: skip
        simulated = time.perf_counter()
        result = engine.run()
        if isinstance(charge, Replay):
            charge.finish()
        wall_s = time.perf_counter() - simulated
        if n_learned > books.min_access:
            raise BooksError(f"learned from {n_learned} accesses, but was judged from access {books.min_access} on")
        sink.write("windows", books.windows())
        if built.training:
            sink.write("training", {name: [row[name] for row in built.training] for name in built.training[0]})
        device = built.details.get("device", "none")
        if recording is not None:
            device = f"{recording.metadata['device']} (recorded)"
        described = {
            "latencies": arm.charged.kind,
            "device": device,
            "trace_sha256": workload.digest.hexdigest(),
        }
        sink.finish(
            {
                **described,
                "config": experiment.model_dump(mode="json", exclude={"output", "seeds"}),
                "config_hash": experiment.folder_hash(),
                "run": {"arm": arm.name, "seed": seed},
                "replay_key": replay_key(experiment, arm, seed),
                "versions": versions(),
            }
        )
    except BaseException:
        sink.abandon()
        raise
    details = {key: value for key, value in built.details.items() if key != "device"}
    return {
        "arm": arm.name,
        "seed": seed,
        "policy": arm.policy.kind,
        **described,
        "n_train_accesses": n_train,
        **run_metrics(books, engine.asking, result, system),
        **details,
        "footprint_bytes": built.policy.footprint_bytes,
        "wall_s": wall_s,
        "wall_with_training_s": time.perf_counter() - started,
    }
