"""The simulator's machine code, ready before anything is timed."""

from collections.abc import Iterable
from typing import Any


def compile_core(evictions: Iterable[Any] = ()) -> None:
    """Run the engine on some accesses: Numba compiles it, or loads it from the disk cache."""
    from policies.none import NonePolicy
    from simulator.accounting import Books
    from simulator.charge import fixed
    from simulator.config import Closed, System
    from simulator.engine import Engine
    from workloads.registry import SOURCES

    fast = {"read_bandwidth": "1 TB/s", "write_bandwidth": "1 TB/s"}
    # Some thousands of blocks, so that the arena grows: that, too, is code to compile.
    workload = SOURCES.parse("random(n_keys=8192, accesses=4096, block=1 B)").build(seed=0, name="warm-up")
    # LRU and FIFO are in the engine's own code, the others beside it.
    beside = {repr(one): one for one in evictions if one.kind not in ("lru", "fifo") and not one.is_plain}
    for eviction in ("lru", *beside.values()):
        tier = {"name": "tier", "capacity": "2 KiB", "eviction": eviction, **fast}
        system = System.model_validate({"tiers": [tier], "links": [fast], "origin": {"kind": "store"}})
        closed = Closed.model_validate({"kind": "closed"})
        Engine(system, closed, workload, NonePolicy(), fixed(0), Books(None, 4096)).run()
