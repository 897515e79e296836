"""Folders of results: whether their books close, and in what two of them differ."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from safetensors import safe_open

from benchmarks.campaign.case import DefectError
from experiments.aside import is_aside
from experiments.folder import LOCK
from experiments.kept import Kept

OF_A_RUN = {"train_s", "host_ns", "device_ns", "cpu_ns"}
"""What the machine decides, in the tables of a run."""
OF_THE_MACHINE = re.compile("wall|_host_|^host$|model_was_cached|train_s|load_average|began_s|ended_s")
"""What the machine decides, in the table ``runs``."""
_PARTS = ("service_ns", "queue_ns", "transfer_ns", "inference_ns")


def present(folder: Path) -> dict[str, bytes]:
    """All files of a folder but for the lock's."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != LOCK]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def asides(folder: Path) -> list[Path]:
    """What is being written, or was when its process died."""
    return [path for path in folder.rglob("*") if is_aside(path.name)]


def differences(found: Path, expected: Path, bystanders: frozenset[str] = frozenset()) -> list[str]:
    """In what a folder's results differ from another's, but for what the machine decides.

    ``bystanders`` are files that may lie there besides.
    """
    theirs, ours = present(expected), present(found)
    others = {name for name in theirs if ours.get(name) != theirs[name]}
    said = [f"{name}: is missing" for name in sorted(theirs.keys() - ours.keys())]
    said += [f"{name}: belongs to nothing" for name in sorted(ours.keys() - theirs.keys() - bystanders)]
    for name in sorted(name for name in others & ours.keys() if name.endswith(".parquet")):
        one, two = (_columns(folder / name) for folder in (found, expected))
        if one.keys() != two.keys():
            said.append(f"{name}: columns {sorted(one)}; expected {sorted(two)}")
            continue
        said += [f"{name}: column {column} differs" for column in two if not _same(one[column], two[column])]
    models = sorted(name for name in others & ours.keys() if name.endswith(".safetensors"))
    return said + [f"{name}: differs" for name in models if _model(found / name) != _model(expected / name)]


def _model(path: Path) -> Any:
    """Weights, and what is said of them but for how long training took."""
    with safe_open(str(path), framework="np") as file:
        said = dict(file.metadata())
        weights = {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118
    extra = json.loads(said["extra"])
    for row in extra["epochs"]:
        del row["train_s"]
    # By its text, for which a NaN is one. The checksum is of the time, too.
    return weights, repr(extra), {name: said[name] for name in ("hash", "training_sha256", "config")}


def _columns(path: Path) -> dict[str, list[Any]]:
    is_host = OF_THE_MACHINE.search if path.name == "runs.parquet" else OF_A_RUN.__contains__
    table = pq.ParquetFile(path).read()
    return {name: table[name].to_pylist() for name in table.column_names if not is_host(name)}


def _same(one: list[Any], two: list[Any]) -> bool:
    # By their text, for which a NaN is one.
    return list(map(repr, one)) == list(map(repr, two))


def check_books(folder: Path, n_runs: int) -> None:
    """Raises DefectError if results cannot be read, are too few, or do not add up."""
    rows = pq.ParquetFile(folder / "runs.parquet").read().to_pylist()
    if len(rows) != n_runs:
        raise DefectError(f"{folder}: {len(rows)} rows of runs; expected {n_runs}")
    for name in ("comparisons", "attribution"):
        pq.ParquetFile(folder / f"{name}.parquet").read()
    for row in rows:
        negative = [name for name in row if name.endswith("latency_ns") and (row[name] or 0) < 0]
        ratio = row["hit_ratio"]
        if negative or (ratio is not None and not np.isnan(ratio) and not 0 <= ratio <= 1):
            raise DefectError(f"{folder}: {row['arm']}: {negative}, hit ratio {ratio}")
    for path in folder.glob("accesses/*.parquet"):
        table = pq.ParquetFile(path).read()
        latency = table["latency_ns"].to_numpy()
        if (latency < 0).any() or (sum(table[part].to_numpy() for part in _PARTS) != latency).any():
            raise DefectError(f"{path}: latencies are negative, or not the sum of their parts")
    kept = Kept.load(folder)
    for found in kept.runs.values():
        if damage := kept.damage(found):
            raise DefectError(f"{folder}: {damage}")
    if asides(folder):
        raise DefectError(f"{folder}: left half-written: {asides(folder)}")
