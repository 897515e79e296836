"""One run: an arm with a seed, from the trace to its tables and its row."""

import hashlib
import json
import os
import platform
import socket
import time
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from experiments.aside import keep_file
from experiments.config import Arm, Experiment
from experiments.decisions import DIGEST, Recorder, keeps_decisions
from experiments.decisions import TABLE as DECISIONS
from experiments.kept import Done, digests_of
from experiments.lives import TABLE as REQUESTS
from experiments.lives import metrics as request_metrics
from experiments.metrics import run_metrics
from experiments.pacing import columns_of, said_of
from experiments.plan import Run
from experiments.prepared import (
    Learned,
    OtherEngine,
    TrainingProgress,
    chosen_engine,
    engine_of,
    prepare,
    split,
    who_asks,
)
from experiments.provenance import provenance
from experiments.recording import replay_key, seal_of, warm_up_rows, working
from experiments.seal import PACED_BY
from experiments.shared import SharedTrace
from experiments.tables import RunTables
from experiments.updates import DIGEST as UPDATES_DIGEST
from experiments.updates import TABLE as UPDATES
from experiments.updates import columns_of as columns_of_updates
from experiments.updates import digest_of
from experiments.updates import metrics as update_metrics
from policies.given import Given
from simulator.accounting import Books, BooksError
from simulator.charge import Replay
from simulator.paced import paced
from simulator.plugins import fingerprints

Progress = Callable[..., None]
"""Is told how many accesses are done; where it watches, also what the run has come to so far (``SoFar``)."""
SHOWN_WINDOWS = 40
Say = Callable[[str], None]
RECORDED = " (recorded)"


@cache
def versions() -> Mapping[str, str]:
    """What computed the results. Asking is slow, and the answer always the same."""
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
        for name in (
            "aiming.py",
            "decisions.py",
            "lives.py",
            "metrics.py",
            "pacing.py",
            "prepared.py",
            "recording.py",
            "shared.py",
            "single.py",
            "tables.py",
            "updates.py",
        )
    ]
    for source in sorted(sources):
        digest.update(source.relative_to(root).as_posix().encode())
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def run_hash(experiment: Experiment, run: Run, n_warm_up: int) -> str:
    """What makes a run the same run: workload, system, arm, seed, what is judged, tables, code, recording."""
    arm, seed, repeat = run
    return experiment.hash_of(
        arm.model_dump(mode="json"), seed, repeat, experiment.start, n_warm_up,
        experiment.output.model_dump(mode="json"), code_hash(), seal_of(arm, seed), sources_of(experiment, arm),
        system=experiment.system_of(arm),
    )  # fmt: skip


def sources_of(experiment: Experiment, arm: Arm) -> list[str]:
    """Hashes of what the settings of a run name outside of the config, such as the sources of a policy's class."""
    parts = (experiment.workload.source, arm.policy, experiment.system_of(arm))
    return [found for part in parts for found in fingerprints(part)]


def prepare_one(
    experiment: Experiment, run: Run, training_progress: TrainingProgress | None, workload: SharedTrace
) -> None:
    """What of a run can be done beside others even if its own latencies are measured: its model is trained and kept."""
    parts = split(experiment, workload)
    learned = Learned(workload, parts.n_train, parts.first, who_asks(run.arm))
    run.arm.policy.core.prepare(Given(learned.sequences, run.seed, training_progress))


def run_one(
    experiment: Experiment,
    run: Run,
    folder: Path,
    n_warm_up: int = 0,
    progress: Progress | None = None,
    training_progress: TrainingProgress | None = None,
    trace: SharedTrace | None = None,
    say: Say | None = None,
    *,
    watches: bool = False,
    engine: OtherEngine | None = None,
) -> Done:
    """Run, write the run's tables, and say what came of it. On any error nothing of it is left in the folder.

    ``n_warm_up`` accesses are run and not judged. ``trace``: the seed's trace where it was written down, else it is
    made anew. ``say`` tells the user of something that a policy does. ``watches``: ``progress`` is told more.
    ``engine`` is in the place of the experiment's.

    Raises:
        InputError: the trace, the recording or the system does not fit.
    """
    began_s, started, load_before = time.time(), time.perf_counter(), os.getloadavg()[0]
    arm, seed = run.arm, run.seed
    prepared = prepare(experiment, arm, seed, training_progress, trace, n_warm_up, say)
    workload, parts, learned, built = prepared.workload, prepared.parts, prepared.learned, prepared.built
    charge, recording, system = prepared.charge, prepared.recording, prepared.system
    measured_on = provenance(built.provenance) if arm.charged.kind == "measured" else {}
    replayed = recording if arm.charged.kind == "replay" else None
    output = experiment.output
    chosen = ("accesses", "prefetches", "inferences", "transfers")
    tables = {"windows", *(name for name in chosen if getattr(output, name))}
    if built.training:
        tables.add("training")
    if system.requests is not None:
        tables.add(REQUESTS)
    has_updates = getattr(arm.policy.core, "update", None) is not None
    if has_updates and output.inferences:
        tables.add(UPDATES)
    # Another engine may charge what it likes: nobody would see a decision.
    keeps = output.inferences and engine is None and keeps_decisions(arm.charged, built)
    if keeps:
        tables.add(DECISIONS)
    sink = RunTables(folder, run.key, tables, workload.stream_ids)
    recorder = Recorder(charge, sink.write)
    books = Books(sink, output.window, first_access=parts.judged, keeps=output.keeps)

    def tell(n_done: int) -> None:
        assert progress is not None
        progress(n_done, running.so_far(SHOWN_WINDOWS))

    try:
        running = (engine_of(experiment, arm) if engine is None else engine.make(run))(
            system, experiment.workload.arrivals, workload, built.policy, recorder if keeps else charge, books,
            seed=seed, first_access=parts.first, prefix_reuse=experiment.workload.reuses_prefixes,
            progress=tell if watches else progress,
        )  # fmt: skip
        simulated = time.perf_counter()
        warm_up = replayed.warm_up if replayed is not None else built.warm_up
        if warm_up:
            sink.write("inferences", warm_up_rows(warm_up))
        result = running.run()
        if isinstance(charge, Replay):
            charge.finish()
        wall_s = time.perf_counter() - simulated
        if learned.n_accesses > books.min_access:
            raise BooksError(
                f"learned from {learned.n_accesses} accesses, but was judged from access {books.min_access} on"
            )
        sink.write("windows", books.windows())
        sink.write(UPDATES, columns_of_updates(books.updates))
        if built.training:
            sink.write("training", {name: [row[name] for row in built.training] for name in built.training[0]})
        device, backend = (built.details.get(name, "none") for name in ("device", "backend"))
        if recording is not None:
            device = f"{recording.metadata['device'].removesuffix(RECORDED)}{RECORDED}"
            backend = recording.metadata["latencies_backend"]
            measured_on = json.loads(recording.metadata.get("provenance", "{}"))
        described = {
            "latencies": arm.charged.kind,
            **said_of(arm.charged, recording),
            "device": device,
            "latencies_backend": backend,
            "trace_sha256": workload.sha256,
        }
        files = []
        if built.model_file is not None:
            files.append(folder / "models" / f"{run.stem}.safetensors")
            keep_file(built.model_file, files[0])
        files += sink.finish(
            {
                **described,
                "config": experiment.model_dump(mode="json", exclude={"output", "seeds", "engine"}),
                "config_hash": experiment.folder_hash(),
                "run": {"arm": arm.name, "seed": seed, "repeat": run.repeat},
                "replay_key": replay_key(experiment, arm, seed),
                "working": working(experiment, arm),
                **{key: built.details[key] for key in ("model_hash", "backend", "horizon") if key in built.details},
                "footprint_bytes": built.policy.footprint_bytes,
                "versions": versions(),
                **({"provenance": measured_on} if measured_on else {}),
                **({DIGEST: recorder.finish()} if keeps else {}),
                **({UPDATES_DIGEST: digest_of([u.charged_ns for u in books.updates])} if UPDATES in tables else {}),
            }
        )
    except BaseException:
        sink.abandon()
        raise
    details = {key: value for key, value in built.details.items() if key != "device"}
    row = {
        "arm": arm.name,
        "seed": seed,
        "repeat": run.repeat,
        "policy": arm.policy.kind,
        **dict.fromkeys(PACED_BY),
        **described,
        "start": experiment.start,
        "n_train_accesses": parts.n_train,
        "n_warm_up_accesses": parts.judged - parts.n_train,
        "requests_per_time": workload.requests_per_time,
        **run_metrics(books, result, system),
        **request_metrics(books),
        **update_metrics(books, has_updates=has_updates),
        "n_inferences_paced": charge.n_paced if isinstance(charge, paced) else None,
        **columns_of(arm.charged, built.probe, books, result),
        **details,
        "footprint_bytes": built.policy.footprint_bytes,
        "engine": chosen_engine(experiment, arm) if engine is None else engine.name,
        "load_average": max(load_before, os.getloadavg()[0]),
        "wall_s": wall_s,
        "wall_with_training_s": time.perf_counter() - started,
        "host": socket.gethostname(),
        "began_s": began_s,
        "ended_s": time.time(),
    }
    return Done(row, digests_of(folder, files))
