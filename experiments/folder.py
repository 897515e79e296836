"""The folder of an experiment: whose results it holds, who may write to it, and what is left of broken runs."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from experiments.aside import is_aside, remove_dead
from experiments.config import Experiment
from experiments.kept import MANIFEST, RECEIPTS, Kept
from simulator.errors import InputError

LOCK = ".lock"
SHARED = ".shared"
"""Below it, while processes run side by side: the traces."""

TABLES = {
    "runs.parquet": "a row for each arm and seed",
    "comparisons.parquet": "each arm against the baseline",
    "attribution.parquet": "where the latency of each run went",
    "by_phase.parquet": "each run by the workload's phases, where it has any",
    "accesses/, prefetches/, inferences/, windows/, training/": "a file for each arm, seed and repeat",
}
_FOLDERS = {"accesses", "prefetches", "inferences", "windows", "training", "models", RECEIPTS, SHARED}
OURS = {*(name for name in TABLES if "/" not in name), *_FOLDERS, MANIFEST, LOCK}
"""All that an experiment leaves in its folder."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes out of the folder. Raises InputError if one is in it."""
    try:
        with FileLock(folder / LOCK, timeout=0):
            yield
    except Timeout:
        raise InputError(f"{folder}: another process is writing to it; wait for it, or use another --out") from None


def remove_leftovers(folder: Path) -> None:
    """What processes wrote that are no more, and the traces that were shared."""
    remove_dead(folder)
    if (folder / SHARED).is_dir():
        shutil.rmtree(folder / SHARED)


def empty(folder: Path) -> None:
    """Remove what a run leaves in a new folder before it has a result."""
    (folder / MANIFEST).unlink(missing_ok=True)
    for below in folder.iterdir():
        if below.is_dir() and not any(below.iterdir()):
            below.rmdir()


def clear(folder: Path) -> None:
    """Remove all that any experiment keeps in a folder, and nothing else."""
    for name in OURS - {LOCK}:
        if (folder / name).is_dir():
            shutil.rmtree(folder / name)
        else:
            (folder / name).unlink(missing_ok=True)


def check_folder(folder: Path, *, force: bool) -> None:
    """Raises InputError if a folder is none, or holds what no experiment has left there."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder}: is a file; expected a folder")
    if (folder / MANIFEST).exists() or not folder.exists():
        return
    names = {path.name for path in folder.iterdir() if not is_aside(path.name)}
    if names - (OURS if force else {LOCK, RECEIPTS, SHARED}):
        raise InputError(f"--out {folder}: holds other files; expected an empty or a new folder")


def kept_in(experiment: Experiment, folder: Path, *, force: bool) -> Kept:
    """What a folder keeps of this experiment; with ``force`` it may be another's or damaged, and is cleared then.

    Raises:
        InputError: it holds the results of another experiment, or its manifest is damaged.
    """
    if force and not (folder / MANIFEST).exists():
        # Whatever lies there, nothing says whose it is.
        clear(folder)
    try:
        kept = Kept.load(folder)
        found = kept.about.get("config_hash", experiment.folder_hash())
        if found != experiment.folder_hash():
            raise InputError(
                f"--out {folder}: holds the results of another config ({found}, this one is "
                f"{experiment.folder_hash()}); expected a new folder, or --force to replace them"
            )
    except InputError:
        if not force:
            raise
        clear(folder)
        return Kept(folder)
    return kept


def about(experiment: Experiment, traces: dict[str, str], metadata: dict[str, Any]) -> dict[str, Any]:
    """What a manifest says besides its runs: whose results these are, and what lies where."""
    return {
        "name": experiment.name,
        **{key: value for key, value in metadata.items() if value},
        "traces_sha256": {Path(path).name: digest for path, digest in traces.items()},
        "tables": TABLES,
    }
