"""Both sides as folders of results: what a live cache had, and what the simulator says of the same runs."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from experiments.config import Experiment
from experiments.making import make
from experiments.plan import stem_of
from experiments.prepared import OtherEngine, split
from experiments.results import table_of
from experiments.validation.everything import EveryKey
from experiments.validation.probing import Muted
from experiments.validation.scaled import checked
from live import FileStore, MemoryTier, PrefetchEngine, TieredCache
from live.contents import fill
from live.driving import LiveEngine
from live.recorder import Recorder
from policies.given import Built
from simulator.config import InferenceServer, System
from simulator.errors import InputError
from simulator.policy import Policy, Trigger
from simulator.trace import part

if TYPE_CHECKING:
    from rich.console import Console

_MORE_ROOM = 1.3
"""A store that is written to has more records than blocks."""
SPARE = 64


@contextmanager
def scratch_folder(folder: Path, n_bytes: int) -> Iterator[Path]:
    """A folder for blocks, which goes with all that is in it, however this ends.

    Raises:
        InputError: there is no room.
    """
    free = shutil.disk_usage(folder).free
    needed = int(n_bytes * _MORE_ROOM)
    if free < needed:
        raise InputError(
            f"--store {folder}: has {free / 1e9:.1f} GB free; expected {needed / 1e9:.1f} GB for the trace's blocks"
        )
    with tempfile.TemporaryDirectory(prefix=".tierfetch-validate-", dir=folder, ignore_cleanup_errors=True) as made:
        yield Path(made)


def keys_of(experiment: Experiment, seed: int) -> list[int]:
    """The keys of the accesses that are run."""
    workload = experiment.workload.source.build(seed)
    batches = part(workload.batches(), split(experiment, workload).first)
    return [int(key) for key in np.unique(np.concatenate([batch.key for batch in batches]))]


def memories_of(system: System) -> list[str]:
    """What tiers lie in: ``hbm`` is a GPU's memory, and what is below it page-locked; all else is plain memory."""
    below = "pinned" if system.tiers[0].name == "hbm" else "dram"
    return ["cuda" if tier.name == "hbm" else below for tier in system.tiers]


def cache_of(system: System, store: FileStore, recorder: Recorder) -> TieredCache:
    """A cache of a system's tiers, whose memory holds what is usual."""
    tiers = [
        MemoryTier.model_validate({
            "name": tier.name, "capacity": f"{tier.capacity} B", "memory": memory, "channels": link.channels,
            "spare": SPARE,
        })
        for tier, link, memory in zip(system.tiers, system.links, memories_of(system), strict=True)
    ]  # fmt: skip
    return TieredCache(tiers, store, recorder=recorder)


def asking(policy: Policy, cache: TieredCache, server: InferenceServer) -> AbstractContextManager[Any]:
    """An engine that asks a policy of each access to a cache, and sends for nothing; none, if it is never asked."""
    if policy.trigger == Trigger.NEVER:
        return nullcontext()
    return PrefetchEngine(
        Built(Muted(policy)), cache, mode=server.mode, queue=server.queue, queue_limit=server.queue_limit,
        batch_size=server.batch_size, stale_after=server.stale_after,
    )  # fmt: skip


def run_live(
    experiment: Experiment, folder: Path, stores: Path, block: int, console: "Console", told: Callable[[str], None], *,
    quiet: bool,
) -> None:  # fmt: skip
    """Make all runs on live caches over files in a folder: tables as any run has them, with real times."""
    with ExitStack() as opened:
        of_seeds: dict[int, EveryKey] = {}
        for seed in experiment.seeds:
            keys = keys_of(experiment, seed)
            store = FileStore(stores / f"blocks-{seed}", block)
            opened.callback(store.close)
            n_written = fill(store, keys)
            if n_written:
                told(f"seed {seed}: {n_written:,} blocks were written to a file")
            of_seeds[seed] = EveryKey(store, keys)

        def engine(system: System, *others: Any, seed: int, **more: Any) -> LiveEngine:
            return LiveEngine(
                system, *others, seed=seed, store=of_seeds[seed], memories=memories_of(system), spare=SPARE, **more
            )

        make(experiment, folder, console=console, quiet=quiet, force=True, engine=OtherEngine("live", engine))


def run_simulated(path: Path, experiment: Experiment, live: Path, folder: Path, console: "Console") -> None:
    """What the simulator says of the runs in ``live``, charged what their questions took."""
    raw = json.loads(json.dumps(experiment.model_dump(mode="json")))
    for arm in raw["arms"]:
        arm["charge"] = _charge(live, arm["name"], experiment.seeds)
    make(checked(path, raw), folder, console=console, quiet=True, force=True)


def _charge(live: Path, arm: str, seeds: Sequence[int]) -> dict[str, Any]:
    """What its questions took, one after the other; nothing where none was answered."""
    for seed in seeds:
        inferences = table_of(live, f"inferences/{stem_of(arm, seed)}")
        if not pc.any(pc.greater(inferences["charged_ns"], 0)).as_py():
            return {"kind": "free"}
    return {"kind": "sampled", "source": str(live.absolute()), "order": "recorded"}
