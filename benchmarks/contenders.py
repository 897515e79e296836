"""Who simulates the same keys: each takes a trace in a file and a capacity in blocks, and makes a call that is timed.

Every block is 1 byte. What is timed has no compiling and no reading in it, but for libCacheSim, which maps its file.
"""

import re
import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any

import numpy as np

from benchmarks import plain_simpy
from policies.given import Given
from policies.registry import POLICIES
from simulator.accounting import Books
from simulator.charge import fixed
from simulator.config import Closed, System
from simulator.engine import Engine
from simulator.policy import Outcome
from simulator.trace import Batch, make_batch, part

CALL_NS, THINK_NS = 7_000, 1_000
Call = Callable[[], float]


class Kept:
    """Accesses made beforehand: engines are measured, not generators."""

    stream_ids = None

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        self.n_streams = int(batch.stream.max(initial=0)) + 1

    def length(self) -> int:
        """How many there are."""
        return len(self.batch)

    def batches(self) -> Any:
        """In the pieces that readers and generators yield."""
        return (self.batch[first : first + (1 << 16)] for first in range(0, len(self.batch), 1 << 16))


def keep(workload: Any) -> Kept:
    """A workload's accesses."""
    from simulator.trace import concatenate

    return Kept(concatenate(list(workload.batches())))


def system(capacity: int, eviction: str = "lru") -> System:
    """One tier over one link."""
    fast = {"read_bandwidth": "2 TB/s", "write_bandwidth": "2 TB/s"}
    link = {"call": f"{CALL_NS} ns", "read_bandwidth": "25 GB/s", "write_bandwidth": "25 GB/s", "channels": 4}
    return System.model_validate(
        {
            "tiers": [{"name": "hbm", "capacity": f"{capacity} B", "latency": "350 ns", "eviction": eviction, **fast}],
            "links": [link],
            "origin": {"kind": "store"},
        }
    )


def load(trace: Path, n_streams: int = 1) -> Kept:
    """The keys of a file (uint64, ``.npy``), dealt out to streams in turn."""
    keys = np.load(trace)
    return Kept(make_batch(keys, stream=np.arange(len(keys)) % n_streams))


def engine(trace: Path, capacity: int, policy: str = "none", n_streams: int = 1, kind: str = "compiled") -> Call:
    """Timed, with tiers, links and accounting; the ratio of accesses that missed."""
    from simulator.model.model import Model

    make: type[Engine] | type[Model] = Model if kind == "model" else Engine
    whole = load(trace, n_streams)

    def run(workload: Any) -> float:
        books = Books(None, 1000)
        chosen = POLICIES.validate({"kind": policy}).build(Given(lambda _: [], 0)).policy
        think = Closed.model_validate({"kind": "closed", "think": f"{THINK_NS} ns"})
        make(system(capacity), think, workload, chosen, fixed(0), books).run()
        return 1 - books.n_outcomes[Outcome.HIT] / books.n_accesses

    run(Kept(next(part(whole.batches(), 0, 5000))))
    return lambda: run(whole)


def plain(trace: Path, capacity: int) -> Call:
    """A SimPy process an access, an OrderedDict for the LRU."""
    keys = np.load(trace).tolist()
    times = {"fetch_ns": CALL_NS + 1, "service_ns": 351, "think_ns": THINK_NS, "channels": 4}
    return lambda: plain_simpy.run(keys, capacity, **times) / len(keys)


def cachetools(trace: Path, capacity: int) -> Call:
    """The library's LRUCache in a loop, untimed."""
    import cachetools as library

    keys = np.load(trace).tolist()

    def run() -> float:
        cache, n_misses = library.LRUCache(capacity), 0
        for key in keys:
            try:
                cache[key]
            except KeyError:
                n_misses += 1
                cache[key] = None
        return n_misses / len(keys)

    return run


def _oracle_general(trace: Path) -> Path:
    """The trace as an oracleGeneral file beside it."""
    from experiments.peer import write_oracle_general

    path = trace.with_suffix(".oracleGeneral.bin")
    if not path.exists():
        write_oracle_general(make_batch(np.load(trace)), path)
    return path


def libcachesim(trace: Path, capacity: int, name: str = "LRU") -> Call:
    """LibCacheSim's own loop over an oracleGeneral file, untimed: its Python wheel's."""
    from experiments.peer import replay

    call = replay(str(_oracle_general(trace)), name, capacity, {})
    return lambda: float(call()[0])


def cachesim(trace: Path, capacity: int, name: str = "LRU") -> Call:
    """The same by its own program, ``cachesim``, which must be on the PATH: whole, so its start is timed, too."""
    path = _oracle_general(trace)
    command = ["cachesim", str(path), "oracleGeneral", name, str(capacity), "--ignore-obj-size", "1"]

    def run() -> float:
        # It writes what it found into a folder where it is called.
        done = subprocess.run(
            [*command, "--num-thread", "1"], cwd=path.parent, check=True, capture_output=True, text=True
        )
        return float(re.findall(r"miss ratio ([0-9.]+)", done.stdout)[-1])

    return run


def peers(trace: Path, capacity: int) -> dict[str, tuple[Any, ...]]:
    """What there is of libCacheSim here: what to call, with what, by a name that says which it is."""
    found: dict[str, tuple[Any, ...]] = {}
    if find_spec("libcachesim"):
        found["libCacheSim, wheel, untimed"] = (libcachesim, trace, capacity)
    if which("cachesim"):
        found["libCacheSim, native, untimed"] = (cachesim, trace, capacity)
    return found
