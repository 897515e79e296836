"""The folder of an experiment: whose results it holds, who may write to it, and what is left of broken runs."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from experiments.aside import discard, is_aside, remove_dead, written_aside
from experiments.config import Experiment
from experiments.kept import MANIFEST, RECEIPTS, Kept
from experiments.plan import planned
from experiments.shards import Share
from simulator.errors import InputError

LOCK = ".lock"
SHARED = ".shared"
"""Below it, while processes run side by side: the traces."""

ELSEWHERE = ".elsewhere"
"""In a folder that stands for results in a store: the tables of runs that are there alone, with their sizes."""

TABLES = {
    "runs.parquet": "a row for each arm and seed",
    "comparisons.parquet": "each arm against the baseline",
    "attribution.parquet": "where the latency of each run went",
    "by_phase.parquet": "each run by the workload's phases, where it has any",
    "accesses/, prefetches/, inferences/, transfers/, windows/, training/": "a file for each arm, seed and repeat",
}
OF_RUNS = (
    "accesses", "prefetches", "inferences", "decisions", "transfers", "requests", "updates", "windows", "training",
)  # fmt: skip
"""The tables with a file for each run."""
_FOLDERS = {*OF_RUNS, "models", RECEIPTS, SHARED}
OURS = {*(name for name in TABLES if "/" not in name), *_FOLDERS, MANIFEST, LOCK, ELSEWHERE}
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
    discard(folder / SHARED)


def say_elsewhere(folder: Path, files: dict[str, int]) -> None:
    """Keep in mind that these files are not in the folder, but in a store."""
    with written_aside(folder / ELSEWHERE) as aside:
        aside.write_text(json.dumps(files))


def elsewhere(folder: Path) -> dict[str, int]:
    """The files of a folder's runs that are in a store, with their sizes."""
    try:
        return {str(name): int(size) for name, size in json.loads((folder / ELSEWHERE).read_text()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        # Most folders have none; what is damaged spares no download.
        return {}


def missing(folder: Path) -> list[Path]:
    """Of a folder and those that it is in, the ones that have to be made, from the innermost."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def empty(folder: Path, made: list[Path]) -> None:
    """Remove what runs without a result leave in a new folder, and the folders that were made for it."""
    clear(folder)
    if folder in made:
        (folder / LOCK).unlink(missing_ok=True)
    # Somebody else may have come to use them.
    with suppress(OSError):
        for path in made:
            path.rmdir()


def clear(folder: Path) -> None:
    """Remove all that any experiment keeps in a folder, and nothing else."""
    for name in OURS - {LOCK}:
        discard(folder / name)


def _check_places(folder: Path, *, force: bool) -> None:
    """Raises InputError where a folder has the name of a table, or the other way round; ``force`` removes it."""
    for name in sorted(OURS - {LOCK}):
        path = folder / name
        if os.path.lexists(path) and path.is_dir() != (name in _FOLDERS):
            if not force:
                what = "no folder" if name in _FOLDERS else "a folder"
                raise InputError(f"{path}: is {what}; expected what an experiment leaves there: --force replaces it")
            discard(path)


def check_folder(folder: Path, *, force: bool) -> None:
    """Raises InputError if a folder is none, or holds what no experiment has left there."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder}: is a file; expected a folder")
    if (folder / MANIFEST).exists() or not folder.exists():
        return
    names = {path.name for path in folder.iterdir() if not is_aside(path.name)}
    if names - OURS:
        raise InputError(f"--out {folder}: holds other files; expected an empty or a new folder")
    if names - {LOCK, RECEIPTS, SHARED} and not force:
        raise InputError(
            f"--out {folder}: holds results, but no {MANIFEST} that says of what; expected a new folder, or --force to "
            "replace them"
        )


def kept_in(experiment: Experiment, folder: Path, *, force: bool) -> Kept:
    """What a folder keeps of this experiment; with ``force`` it may be another's or damaged, and is cleared then.

    Raises:
        InputError: it holds the results of another experiment, or its manifest is damaged.
    """
    if force and not (folder / MANIFEST).exists():
        # Whatever lies there, nothing says whose it is.
        clear(folder)
    _check_places(folder, force=force)
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


def about(
    experiment: Experiment, traces: dict[str, str], metadata: dict[str, Any], share: Share | None = None
) -> dict[str, Any]:
    """What a manifest says besides its runs: whose results these are, and what lies where."""
    return {
        "name": experiment.name,
        **{key: value for key, value in metadata.items() if value},
        # Not to be told from the config alone: whether an arm's latencies are measured, its policy's class says.
        "planned": [run.stem for run in planned(experiment)],
        # Which keys a sweep made arms of, their settings do not say.
        **({"swept": experiment.swept} if experiment.swept else {}),
        "traces_sha256": {Path(path).name: digest for path, digest in traces.items()},
        "tables": TABLES,
        **({} if share is None else {"shard": share.said}),
    }
