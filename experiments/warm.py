"""The simulator's machine code, ready before anything is timed."""

import time
from collections.abc import Callable, Iterable


def compile_core(say: Callable[[str], None], evictions: Iterable[str] = ("lru",)) -> None:
    """Run the engine on some accesses: Numba compiles it, or loads it from the disk cache.

    ``say`` is told where that takes long: once for each version of the sources.
    """
    from policies.none import NonePolicy
    from simulator.accounting import Books
    from simulator.charge import fixed
    from simulator.compiled import IS_COLD
    from simulator.config import Closed, System
    from simulator.engine import Engine
    from workloads.random import Uniform

    if IS_COLD:
        say("compiling the simulator's core, once: about a minute ...")
    started = time.perf_counter()
    fast = {"read_bandwidth": "1 TB/s", "write_bandwidth": "1 TB/s"}
    # Some thousands of blocks, so that the arena grows: that, too, is code to compile.
    workload = Uniform(n_keys=8192, accesses=4096, block_bytes=1, seed=0, name="warm-up")
    # LRU and FIFO are in the engine's own code, the others beside it.
    for eviction in dict.fromkeys(["lru", *(kind for kind in evictions if kind != "fifo")]):
        tier = {"name": "tier", "capacity": "2 KiB", "eviction": eviction, **fast}
        system = System.model_validate({"tiers": [tier], "links": [fast], "origin": {"kind": "store"}})
        closed = Closed.model_validate({"kind": "closed"})
        Engine(system, closed, workload, NonePolicy(), fixed(0), Books(None, 4096)).run()
    if IS_COLD:
        say(f"compiled in {time.perf_counter() - started:.0f} s")
