"""Latencies recorded by an earlier run, for ``replay`` and ``sampled``, checked against the run that wants them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from experiments.charges import Measured, Replay, Sampled
from experiments.config import Arm, Experiment
from experiments.plan import stem_of
from experiments.seal import SEALED_COLUMNS, Seal
from experiments.updates import charged_in
from policies.given import Recorded
from simulator.charge import Charge, Cost, Guess, fixed, measured, measured_cpu, sampled
from simulator.charge import Replay as ReplayCharge
from simulator.errors import InputError
from simulator.paced import OtherWork, Pause, paced
from simulator.policy import Status
from simulator.seeds import generator

_TIMED = {"measured", "replay", "sampled"}
WARM_UP = "warm_up"
_NO_WORK = "none"


def replay_key(experiment: Experiment, arm: Arm, seed: int) -> str:
    """What a recording must share with the run it is replayed in.

    That is everything but the arm's name, the charge, and where and how predictions are computed.
    """
    policy = _without_place(arm.policy.model_dump(mode="json"))
    start = ["warm"] if experiment.start == "warm" else []
    return experiment.hash_of(policy, seed, *start, system=experiment.system_of(arm))


def _without_place(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a policy, and of one that it wraps, without those of where and how predictions are computed."""
    return {
        key: _without_place(value) if isinstance(value, dict) else value
        for key, value in settings.items()
        if key not in ("device", "backend", "predictions")
    }


def working(experiment: Experiment, arm: Arm) -> str:
    """What the work of an inference depends on, as text; recorded latencies are drawn only for the same."""
    work = arm.policy.core.working()
    if not work:
        return _NO_WORK
    batch_size = experiment.system_of(arm).inference.batch_size
    return json.dumps({**work, "inference.batch_size": batch_size}, sort_keys=True)


@dataclass(frozen=True)
class Recording:
    """The inferences of a run, a batch each and in order, and what its metadata says of them.

    ``guesses`` has the best guess and the number of proposals of every question of a batch (None where its answer had
    not come at the end), ``warm_up`` host and device time of the calls before.
    """

    file: Path
    costs: list[Cost]
    guesses: list[list[Guess]]
    warm_up: list[tuple[int, int]]
    metadata: dict[str, str]

    @property
    def latencies_ns(self) -> npt.NDArray[np.int64]:
        """What was charged if time was charged, else what was measured and not charged."""
        is_timed = self.metadata["latencies"] in _TIMED
        return np.array([cost.charged_ns if is_timed else cost.host_ns for cost in self.costs], np.int64)

    @property
    def predicted_by(self) -> Recorded | None:
        """The model behind it; None for a policy that has none."""
        if "model_hash" not in self.metadata:
            return None
        model = self.file.parent.parent / "models" / f"{self.file.stem}.safetensors"
        return Recorded(
            str(self.file),
            model if model.exists() else None,
            self.metadata["model_hash"],
            self.metadata["backend"],
            int(self.metadata["horizon"]),
            int(said) if (said := self.metadata.get("footprint_bytes")) is not None else None,
        )


def _file(charge: Replay | Sampled, arm: Arm, seed: int) -> Path:
    assert charge.source is not None
    source = Path(charge.source)
    if source.is_dir() or not source.suffix:
        return source / "inferences" / f"{stem_of(charge.arm or arm.name, seed)}.parquet"
    return source


def seal_of(arm: Arm, seed: int) -> str:
    """What tells the recording that an arm names from another one in its place; empty if there is none."""
    if arm.charged.kind not in ("replay", "sampled") or arm.charged.source is None:
        return ""
    try:
        metadata = pq.read_metadata(_file(arm.charged, arm, seed)).metadata or {}
    except (pa.ArrowException, OSError):
        return ""
    return str(metadata.get(b"seal_sha256", b"").decode())


def load(charge: Replay | Sampled, arm: Arm, seed: int) -> Recording:
    """The recording that a charge names. Raises InputError if there is none, or it is damaged or changed."""
    file = _file(charge, arm, seed)
    where = f"arms.{arm.name}.charge.source: {file}"
    try:
        table = pq.read_table(file, columns=list(SEALED_COLUMNS), page_checksum_verification=True)
        stored = pq.read_metadata(file).metadata
    except FileNotFoundError:
        raise InputError(f"{where}: no such file; expected the inferences of an earlier run") from None
    except (pa.ArrowException, OSError, KeyError) as error:
        raise InputError(f"{where}: is no table of inferences: {error}") from None
    metadata = {k.decode(): v.decode() for k, v in stored.items() if not k.startswith(b"ARROW")}
    if "seal_sha256" not in metadata:
        raise InputError(f"{where}: was not written by this version; expected the inferences of an earlier run")
    seal = Seal()
    seal.add({name: table[name].combine_chunks() for name in SEALED_COLUMNS})
    if seal.digest(metadata) != metadata["seal_sha256"]:
        raise InputError(f"{where}: was changed after it was recorded (its checksum differs); expected it as written")
    table = table.sort_by([("batch", "ascending"), ("inference", "ascending")])
    columns = {name: table[name].to_pylist() for name in SEALED_COLUMNS}
    times = list(zip(columns["charged_ns"], columns["host_ns"], columns["device_ns"], columns["cpu_ns"], strict=True))
    costs: list[Cost] = []
    guesses: list[list[Guess]] = []
    warm_up: list[tuple[int, int]] = []
    before = -1
    answers = list(zip(columns["predicted_key"], columns["n_proposed"], strict=True))
    for batch, time, guess, status in zip(columns["batch"], times, answers, columns["status"], strict=True):
        if status == WARM_UP:
            warm_up.append((time[1], time[2]))
        elif batch >= 0:
            if batch != before:
                costs.append(Cost(*time))
                guesses.append([])
            # Of an answer that had not come at the end, no proposals were counted.
            guesses[-1].append((guess[0], None) if status == Status.PENDING_AT_END.name.lower() else guess)
            before = batch
    return Recording(file, costs, guesses, warm_up, metadata)


def warm_up_rows(times: list[tuple[int, int]]) -> dict[str, Any]:
    """Rows of the ``inferences`` table for calls before the run: never charged, marked by their status."""
    n = len(times)
    constant = {
        "batch": -1, "access": -1, "stream": None, "status": WARM_UP, "asked_ns": -1, "started_ns": -1, "ended_ns": -1,
        "charged_ns": 0, "predicted_key": None, "confidence": None, "next_key": None, "came_true": None,
        "n_proposed": 0, "n_at_once": 0, "n_issued": 0,
    }  # fmt: skip
    columns: dict[str, Any] = {name: [value] * n for name, value in constant.items()}
    columns["inference"] = list(range(-n, 0))
    columns["host_ns"] = [host_ns for host_ns, _ in times]
    columns["device_ns"] = [device_ns for _, device_ns in times]
    columns["cpu_ns"] = [0] * len(times)
    return columns


def _measuring(charge: Measured, arm: Arm, seed: int) -> Charge:
    """By that clock, at that pace."""
    reading = measured if charge.clock == "wall" else measured_cpu
    if charge.pace == "back_to_back":
        return reading
    between = Pause(charge.longest) if charge.pace == "simulated" else OtherWork(charge.touched)
    return paced(between, reading, charge.share, generator(seed, "pace", arm.name))


def make_charge(experiment: Experiment, arm: Arm, seed: int) -> tuple[Charge, Recording | None]:
    """The charge of a run, and the recording behind it.

    Raises:
        InputError: a recording is missing, damaged, or of another run.
    """
    charge = arm.charged
    match charge.kind:
        case "measured":
            return _measuring(charge, arm, seed), None
        case "free":
            return fixed(0), None
        case "replay" if charge.source is None:
            # The policy's own, which come with its answers.
            return measured, None
        case "fixed":
            return fixed(charge.latency), None
        case "sampled":
            recording = load(charge, arm, seed)
            if not recording.latencies_ns.any():
                raise InputError(
                    f"arms.{arm.name}.charge.source: {recording.file} holds no timed inference to draw from; expected "
                    "a run that made its predictions one by one"
                )
            theirs = recording.metadata["working"]
            ours = working(experiment, arm)
            if ours not in (_NO_WORK, theirs):
                raise InputError(
                    f"arms.{arm.name}.charge.source: {recording.file} has latencies of other work: {theirs}; "
                    f"expected {ours}"
                )
            scaled = np.rint(recording.latencies_ns * charge.scale).astype(np.int64)
            drawn_by = generator(seed, "charge", arm.name) if charge.order == "drawn" else None
            return sampled(scaled, drawn_by), recording
    recording = load(charge, arm, seed)
    wanted, found = replay_key(experiment, arm, seed), recording.metadata["replay_key"]
    if found != wanted:
        theirs = json.loads(recording.metadata.get("run", "{}"))
        raise InputError(
            f"arms.{arm.name}.charge.source: {recording.file} does not fit this run: it was recorded for arm "
            f"{theirs.get('arm')!r}, seed {theirs.get('seed')}, with another workload, system, policy or seed; "
            "expected a recording of the same"
        )
    if recording.metadata["latencies"] not in _TIMED:
        raise InputError(
            f"arms.{arm.name}.charge.source: {recording.file} was recorded with charge "
            f"{recording.metadata['latencies']!r}; expected one whose clock was charged measured latencies"
        )
    updates_ns = charged_in(recording.file, recording.metadata)
    return ReplayCharge(recording.costs, recording.guesses, str(recording.file), updates_ns), recording
