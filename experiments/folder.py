"""The folder of an experiment: whose results it holds, who may write to it, and what is left of broken runs."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from experiments.config import Experiment
from simulator.errors import InputError

_LOCK = ".lock"
SHARED = ".shared"
"""Below it, while processes run side by side: the traces."""

TABLES = {
    "runs.parquet": "a row for each arm and seed",
    "comparisons.parquet": "each arm against the baseline",
    "attribution.parquet": "where the latency of each run went",
    "accesses/, prefetches/, inferences/, windows/, training/": "a file for each arm and seed",
}


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes out of the folder. Raises InputError if one is in it."""
    try:
        with FileLock(folder / _LOCK, timeout=0):
            yield
    except Timeout:
        raise InputError(f"{folder}: another process is writing to it; wait for it, or use another --out") from None


def remove_leftovers(folder: Path) -> None:
    """What runs wrote that did not finish."""
    for leftover in [*folder.glob("*/*.part"), *folder.glob(f"{SHARED}/*/*.npy")]:
        leftover.unlink()
    for below in [*folder.glob(f"{SHARED}/*"), folder / SHARED]:
        if below.is_dir():
            below.rmdir()


def empty(folder: Path) -> None:
    """Remove what a run leaves in a new folder before it has a result."""
    (folder / "manifest.json").unlink(missing_ok=True)
    for below in folder.iterdir():
        if below.is_dir() and not any(below.iterdir()):
            below.rmdir()


def check_folder(experiment: Experiment, folder: Path) -> None:
    """Raises InputError if a folder is none, or holds anything but results of this experiment."""
    manifest = folder / "manifest.json"
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder}: is a file; expected a folder")
    if not manifest.exists():
        if folder.is_dir() and any(path.name != _LOCK for path in folder.iterdir()):
            raise InputError(f"--out {folder}: holds other files; expected an empty or a new folder")
        return
    try:
        found = json.loads(manifest.read_text())["config_hash"]
    except (ValueError, KeyError, TypeError, OSError):
        raise InputError(f"{manifest}: is damaged; delete the folder or use another --out") from None
    if found != experiment.folder_hash():
        raise InputError(
            f"--out {folder}: holds the results of another config ({found}, this one is {experiment.folder_hash()}); "
            "expected a new folder"
        )


def write_manifest(experiment: Experiment, folder: Path, traces: dict[str, str], metadata: dict[str, Any]) -> None:
    """Say whose results these are, in ``manifest.json``: written aside, then renamed."""
    manifest = {
        "name": experiment.name,
        **{key: value for key, value in metadata.items() if value},
        "traces_sha256": {Path(path).name: digest for path, digest in traces.items()},
        "tables": TABLES,
    }
    aside = folder / f"manifest.json.{os.getpid()}.part"
    aside.write_text(json.dumps(manifest, indent=2, sort_keys=True) + "\n")
    aside.replace(folder / "manifest.json")
