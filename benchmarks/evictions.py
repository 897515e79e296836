"""Every eviction policy on one trace: untimed, through the whole engine, and libCacheSim's."""

import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from benchmarks import contenders as c
from benchmarks.alone import alone
from benchmarks.results import Measurement
from experiments.peer import NAMES
from policies.none import NonePolicy
from simulator.accounting import Books
from simulator.charge import fixed
from simulator.config import Closed
from simulator.demand import misses_of
from simulator.engine import Engine
from simulator.plugins import needs_nothing
from simulator.residency.registry import EVICTIONS
from workloads.registry import SOURCES

N_ACCESSES, CAPACITY = 1_000_000, 11_500


def untimed(trace: Path, eviction: str) -> c.Call:
    """Misses by the residency alone: no time, no links, no accounting."""
    whole = c.load(trace)

    def run(workload: c.Kept) -> float:
        return float(misses_of(workload, c.system(CAPACITY, eviction), 0, 0)[1].mean())

    # All of it: the arena grows at different places of the trace, and that is code to load, too.
    run(whole)
    return lambda: run(whole)


def engine(trace: Path, eviction: str) -> c.Call:
    """Timed, with tiers, links and accounting."""
    whole = c.load(trace)

    def run(workload: c.Kept) -> float:
        think = Closed.model_validate({"kind": "closed", "think": f"{c.THINK_NS} ns"})
        books = Books(None, 1000)
        Engine(c.system(CAPACITY, eviction), think, workload, NonePolicy(), fixed(0), books).run()
        return 0.0

    # All of it: the arena grows at different places of the trace, and that is code to load, too.
    run(whole)
    return lambda: run(whole)


def measure() -> Iterator[Measurement]:
    """CPU time, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "zipf.npy"
        made = SOURCES.parse(f"zipf(n_keys=100000, accesses={N_ACCESSES}, block=1 B)").build(seed=0)
        np.save(trace, np.concatenate([batch.key for batch in made.batches()]))
        for eviction in (kind for kind, class_ in EVICTIONS.items() if needs_nothing(class_)):
            for name, timed in (
                ("untimed", alone(untimed, trace, eviction)),
                ("engine", alone(engine, trace, eviction)),
                *([("libCacheSim", alone(c.libcachesim, trace, CAPACITY, NAMES[eviction]))]
                  if find_spec("libcachesim") and eviction in NAMES else []),
            ):  # fmt: skip
                yield Measurement(
                    "evictions", f"{eviction}, {name}", N_ACCESSES, timed.seconds, timed.peak_memory_bytes
                )
