"""Latencies recorded by an earlier run, for ``replay`` and ``sampled``, checked against the run that wants them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from experiments.config import Arm, Experiment, Replay, Sampled
from simulator.charge import Charge, fixed, measured, sampled
from simulator.charge import Replay as ReplayCharge
from simulator.errors import InputError
from simulator.seeds import generator

_TIMED = {"measured", "replay", "sampled"}


def replay_key(experiment: Experiment, arm: Arm, seed: int) -> str:
    """What a recording must share with the run it is replayed in: everything but the charge and the arm's name."""
    system = experiment.system_of(arm)
    return experiment.hash_of(arm.policy.model_dump(mode="json"), seed, system=system)


@dataclass(frozen=True)
class Recording:
    """A latency for each inference, in order, and the device that they were measured on."""

    file: Path
    latencies_ns: npt.NDArray[np.int64]
    metadata: dict[str, Any]


def load(charge: Replay | Sampled, arm: Arm, seed: int) -> Recording:
    """The recording that a charge names. Raises InputError if there is none or it is damaged."""
    source = Path(charge.source)
    file = source
    if source.is_dir() or not source.suffix:
        file = source / "inferences" / f"{charge.arm or arm.name}-{seed}.parquet"
    where = f"arms.{arm.name}.charge.source: {file}"
    try:
        table = pq.read_table(file, columns=["batch", "charged_ns", "host_ns"])
        stored = pq.read_metadata(file).metadata
    except FileNotFoundError:
        raise InputError(f"{where}: no such file; expected the inferences of an earlier run") from None
    except (pa.ArrowException, OSError, KeyError) as error:
        raise InputError(f"{where}: is no table of inferences: {error}") from None
    metadata = {k.decode(): v.decode() for k, v in stored.items() if not k.startswith(b"ARROW")}
    if "replay_key" not in metadata:
        raise InputError(f"{where}: was not written by tierfetch; expected the inferences of an earlier run")
    batch = table["batch"].to_numpy()
    # What was charged if time was charged, else what was measured and not charged.
    column = "charged_ns" if metadata["latencies"] in _TIMED else "host_ns"
    _, first = np.unique(batch, return_index=True)
    first = first[batch[first] >= 0]
    return Recording(file, table[column].to_numpy()[first].astype(np.int64), metadata)


def make_charge(experiment: Experiment, arm: Arm, seed: int) -> tuple[Charge, Recording | None]:
    """The charge of a run, and the recording behind it.

    Raises:
        InputError: a recording is missing, damaged, or of another run.
    """
    charge = arm.charged
    match charge.kind:
        case "measured":
            return measured, None
        case "free":
            return fixed(0), None
        case "fixed":
            return fixed(charge.latency), None
        case "sampled":
            recording = load(charge, arm, seed)
            if len(recording.latencies_ns) == 0:
                raise InputError(f"arms.{arm.name}.charge.source: {recording.file} holds no inference to draw from")
            return sampled(recording.latencies_ns, generator(seed, "charge", arm.name)), recording
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
    return ReplayCharge(recording.latencies_ns.tolist(), str(recording.file)), recording
