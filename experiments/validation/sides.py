"""Both sides as folders of results: what a live cache had, and what the simulator says of the same runs."""

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from experiments.config import Experiment
from experiments.folder import locked
from experiments.making import make
from experiments.plan import Run, stem_of
from experiments.prepared import OtherEngine, split
from experiments.results import table_of
from experiments.validation.caches import SPARE, memories_of
from experiments.validation.everything import EveryKey
from experiments.validation.prober import Around, Prober
from experiments.validation.scaled import checked
from experiments.validation.taken import Costs, together
from live import FileStore
from live.contents import fill
from live.driving import LiveEngine
from simulator.config import System
from simulator.errors import InputError
from simulator.trace import part

if TYPE_CHECKING:
    from rich.console import Console

_MORE_ROOM = 1.3
"""A store that is written to has more records than blocks."""
_SCRATCH, _YOUNG_S = ".tierfetch-validate-", 60


@contextmanager
def scratch_folder(folder: Path, n_bytes: int) -> Iterator[Path]:
    """A folder for blocks, which goes with all that is in it, however this ends, or before the next one if killed.

    Raises:
        InputError: there is no room.
    """
    _remove_left(folder)
    free = shutil.disk_usage(folder).free
    needed = int(n_bytes * _MORE_ROOM)
    if free < needed:
        raise InputError(
            f"--store {folder.absolute()}: has {free / 1e9:.1f} GB free; expected {needed / 1e9:.1f} GB for the "
            "trace's blocks"
        )
    hidden = tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=folder, ignore_cleanup_errors=True)
    with hidden as made, locked(Path(made)):
        yield Path(made)


def _remove_left(folder: Path) -> None:
    """What a killed process has left of its blocks."""
    for left in folder.glob(f"{_SCRATCH}*"):
        with suppress(OSError, InputError):
            # One that was made just now may not be locked yet.
            if time.time() - left.stat().st_mtime > _YOUNG_S:
                with locked(left):
                    shutil.rmtree(left)


def keys_of(experiment: Experiment, seed: int) -> list[int]:
    """The keys of the accesses that are run."""
    workload = experiment.workload.source.build(seed)
    batches = part(workload.batches(), split(experiment, workload).first)
    return [int(key) for key in np.unique(np.concatenate([batch.key for batch in batches]))]


def run_live(
    experiment: Experiment, folder: Path, stores: Path, block: int, prober: Prober, console: "Console",
    told: Callable[[str], None], *, quiet: bool,
) -> dict[str, Costs]:  # fmt: skip
    """Make all runs on live caches over files in a folder: tables as any run has them, with real times.

    Returns:
        Of each arm what the cache took before and after its runs.
    """
    with ExitStack() as opened:
        of_seeds: dict[int, EveryKey] = {}
        for seed in experiment.seeds:
            keys = keys_of(experiment, seed)
            store = FileStore(stores / f"blocks-{seed}", block)
            opened.callback(store.close)
            if not store.is_direct:
                told(f"warning: {stores}: {store.why_not}: reads may come from memory, not from the disk")
            n_written = fill(store, keys)
            if n_written:
                told(f"seed {seed}: {n_written:,} blocks were written to a file")
            of_seeds[seed] = EveryKey(store, keys)
        costs: dict[str, list[Costs]] = {arm.name: [] for arm in experiment.arms}

        def engine_of(run: Run) -> Callable[..., Around]:
            def probe() -> None:
                costs[run.arm.name].append(prober.probe(run.arm))

            def engine(system: System, *others: Any, seed: int, **more: Any) -> Around:
                live = LiveEngine(
                    system, *others, seed=seed, store=of_seeds[seed], memories=memories_of(system), spare=SPARE, **more
                )  # fmt: skip
                return Around(live, probe)

            return engine

        make(experiment, folder, console=console, quiet=quiet, force=True, engine=OtherEngine("live", engine_of))
    return {arm: together(of_arm) for arm, of_arm in costs.items()}


def run_simulated(path: Path, experiment: Experiment, live: Path, folder: Path, console: "Console") -> None:
    """What the simulator says of the runs in ``live``, charged what their questions took."""
    raw = json.loads(json.dumps(experiment.model_dump(mode="json")))
    for arm in raw["arms"]:
        arm["charge"] = _charge(live, arm["name"], experiment.seeds)
    make(checked(path, raw), folder, console=console, quiet=True, force=True)


def _charge(live: Path, arm: str, seeds: Sequence[int]) -> dict[str, Any]:
    """What its questions took, one after the other; nothing where none was answered.

    Raises:
        InputError: some were with one seed, and none with another.
    """
    are_answered = [
        bool(pc.any(pc.greater(table_of(live, f"inferences/{stem_of(arm, seed)}")["charged_ns"], 0)).as_py())
        for seed in seeds
    ]
    if not any(are_answered):
        return {"kind": "free"}
    if not all(are_answered):
        raise InputError(
            f"arm {arm}: with seed {seeds[are_answered.index(False)]} no question was answered, with others some were; "
            "expected more accesses (--accesses), or other seeds"
        )
    return {"kind": "sampled", "source": str(live.absolute()), "order": "recorded"}
