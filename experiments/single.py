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

from experiments.aiming import estimate
from experiments.config import Arm, Experiment
from experiments.metrics import run_metrics
from experiments.recording import Recording, make_charge, replay_key, seal_of, warm_up_rows, working
from experiments.shared import HashedWorkload, SharedTrace
from experiments.tables import RunTables, keep_file
from policies.given import Accesses, Demand, Given
from policies.timing import Timing
from simulator.accounting import Books, BooksError
from simulator.charge import Replay
from simulator.config import System
from simulator.demand import misses_of, savable
from simulator.engine import Engine
from simulator.errors import InputError
from simulator.trace import WRITE, Batch, Workload, part
from workloads.registry import build as build_workload

Progress = Callable[[int], None]
RECORDED = " (recorded)"
TrainingProgress = Callable[[int, int, float, float], None]


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
    sources = [path for package in ("simulator", "policies", "workloads") for path in (root / package).rglob("*.py")]
    sources += [
        root / "experiments" / name
        for name in ("aiming.py", "metrics.py", "recording.py", "shared.py", "single.py", "tables.py")
    ]
    for source in sorted(sources):
        digest.update(source.relative_to(root).as_posix().encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def run_hash(experiment: Experiment, arm: Arm, seed: int) -> str:
    """What makes a run the same run: workload, system, arm, seed, tables, code, recording."""
    return experiment.hash_of(
        arm.model_dump(mode="json"), seed, experiment.output.model_dump(mode="json"), code_hash(), seal_of(arm, seed),
        system=experiment.system_of(arm),
    )  # fmt: skip


def sequences_of(accesses: Iterator[Batch], *, per_stream: bool) -> dict[int, Accesses]:
    """The accesses of each stream in order, or of all streams in the trace's order under 0."""
    pieces: dict[int, list[Accesses]] = {}
    for batch in accesses:
        for stream in np.unique(batch.stream).tolist() if per_stream else [0]:
            mine = batch.stream == stream if per_stream else slice(None)
            pieces.setdefault(stream, []).append(Accesses(batch.key[mine], batch.op[mine] == WRITE))
    return {
        stream: Accesses(*(np.concatenate(columns) for columns in zip(*pieces[stream], strict=True)))
        for stream in sorted(pieces)
    }


class Learned:
    """What a policy is given of the trace: the training part to learn from, the rest to predict from."""

    def __init__(self, workload: Workload, n_train: int) -> None:
        self._workload = workload
        self._n_train = n_train
        self.n_accesses = 0

    def sequences(self, per_stream: bool) -> list[Accesses]:
        """The training part, sequence by sequence."""
        found = list(sequences_of(part(self._workload.batches(), 0, self._n_train), per_stream=per_stream).values())
        self.n_accesses = sum(len(sequence.keys) for sequence in found)
        return found

    def judged(self, per_stream: bool) -> dict[int, npt.NDArray[np.uint64]]:
        """The other accesses by stream. Raises InputError where their order depends on the simulation."""
        if not per_stream and self._workload.n_streams > 1:
            raise InputError(
                "policy.predictions: batched needs to know the order of accesses, which of several streams together "
                "only the simulation tells; expected per_stream: true"
            )
        judged = sequences_of(part(self._workload.batches(), self._n_train), per_stream=per_stream)
        return {stream: sequence.keys for stream, sequence in judged.items()}


def chosen_engine(experiment: Experiment) -> str:
    """``compiled`` or ``simpy``: what ``auto`` comes to."""
    return "compiled" if experiment.engine == "auto" else experiment.engine


def engine_of(name: str) -> type[Engine]:
    """SimPy is imported where it is used: a run without it starts sooner."""
    if name == "simpy":
        from simulator.simpy_engine import SimpyEngine

        return SimpyEngine
    return Engine


def _future(workload: Workload, system: System, n_train: int, seed: int) -> Demand:
    accesses, missed = misses_of(workload, system, n_train, seed)
    return Demand(accesses.key, accesses.stream, savable(accesses, missed, system))


def _timing(experiment: Experiment, arm: Arm, workload: Workload, n_train: int, recording: Recording | None) -> Timing:
    charge = arm.charged
    inference_ns: float | None = None
    if charge.kind in ("fixed", "sampled") and charge.assumed is not None:
        inference_ns = charge.assumed
    elif recording is not None:
        inference_ns = float(np.median(recording.latencies_ns))
    elif charge.kind != "measured":
        inference_ns = charge.latency if charge.kind == "fixed" else 0
    return estimate(
        workload, n_train, experiment.system_of(arm), experiment.workload.arrivals,
        per_stream=getattr(arm.policy.core, "per_stream", False), inference_ns=inference_ns,
    )  # fmt: skip


def _split(experiment: Experiment, workload: Workload) -> int:
    """How many accesses the training part has."""
    n_train = int(workload.length() * experiment.workload.train_ratio)
    if n_train >= workload.length():
        raise InputError("workload.train_ratio: leaves no access to judge on; expected a smaller share")
    return n_train


def prepare_one(
    experiment: Experiment, arm: Arm, seed: int, training_progress: TrainingProgress | None, workload: SharedTrace
) -> None:
    """What of a run can be done beside others even if its own latencies are measured: its model is trained and kept."""
    learned = Learned(workload, _split(experiment, workload))
    arm.policy.core.prepare(Given(learned.sequences, seed, training_progress))


def run_one(
    experiment: Experiment,
    arm: Arm,
    seed: int,
    folder: Path,
    progress: Progress | None = None,
    training_progress: TrainingProgress | None = None,
    trace: SharedTrace | None = None,
) -> dict[str, Any]:
    """Run, write the run's tables, and return its row. On any error nothing of it is left in the folder.

    ``trace``: the seed's trace where it was written down, else it is made anew.

    Raises:
        InputError: the trace, the recording or the system does not fit.
    """
    started = time.perf_counter()
    workload = trace or HashedWorkload(build_workload(experiment.workload.source, seed))
    n_train = _split(experiment, workload)
    charge, recording = make_charge(experiment, arm, seed)
    replayed = recording if arm.charged.kind == "replay" else None
    system = experiment.system_of(arm)
    learned = Learned(workload, n_train)
    built = arm.policy.build(
        Given(
            learned.sequences,
            seed,
            training_progress,
            judged=learned.judged,
            future=lambda: _future(workload, system, n_train, seed),
            timing=cache(lambda: _timing(experiment, arm, workload, n_train, recording)),
            recorded=replayed.predicted_by if replayed is not None else None,
            is_measured=arm.charged.kind == "measured",
            n_streams=workload.n_streams,
        ),
    )
    output = experiment.output
    tables = {name for name in ("accesses", "prefetches", "inferences") if getattr(output, name)} | {"windows"}
    if built.training:
        tables.add("training")
    sink = RunTables(folder, arm.name, seed, tables, workload.stream_ids)
    books = Books(sink, output.window, first_access=n_train, keeps=output.keeps)
    engine_name = chosen_engine(experiment)
    try:
        engine = engine_of(engine_name)(
            system, experiment.workload.arrivals, workload, built.policy, charge, books,
            seed=seed, first_access=n_train, progress=progress,
        )  # fmt: skip
        simulated = time.perf_counter()
        warm_up = replayed.warm_up if replayed is not None else built.warm_up
        if warm_up:
            sink.write("inferences", warm_up_rows(warm_up))
        result = engine.run()
        if isinstance(charge, Replay):
            charge.finish()
        wall_s = time.perf_counter() - simulated
        if learned.n_accesses > books.min_access:
            raise BooksError(
                f"learned from {learned.n_accesses} accesses, but was judged from access {books.min_access} on"
            )
        sink.write("windows", books.windows())
        if built.training:
            sink.write("training", {name: [row[name] for row in built.training] for name in built.training[0]})
        device, backend = (built.details.get(name, "none") for name in ("device", "backend"))
        if recording is not None:
            device = f"{recording.metadata['device'].removesuffix(RECORDED)}{RECORDED}"
            backend = recording.metadata["latencies_backend"]
        described = {
            "latencies": arm.charged.kind,
            "device": device,
            "latencies_backend": backend,
            "trace_sha256": workload.sha256,
        }
        if built.model_file is not None:
            keep_file(built.model_file, folder / "models" / f"{arm.name}-{seed}.safetensors")
        sink.finish(
            {
                **described,
                "config": experiment.model_dump(mode="json", exclude={"output", "seeds", "engine"}),
                "config_hash": experiment.folder_hash(),
                "run": {"arm": arm.name, "seed": seed},
                "replay_key": replay_key(experiment, arm, seed),
                "working": working(experiment, arm),
                **{key: built.details[key] for key in ("model_hash", "backend", "horizon") if key in built.details},
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
        **run_metrics(books, result, system),
        **details,
        "footprint_bytes": built.policy.footprint_bytes,
        "engine": engine_name,
        "wall_s": wall_s,
        "wall_with_training_s": time.perf_counter() - started,
    }
