"""How long an exact miss-ratio curve of LRU takes: ns an access, by keys, sizes and threads.

``python -m benchmarks.long_traces --accesses 1e9 --keys 1e6 --jobs 1,2`` counts a stream that is made on the way: ranks
by a bounded Pareto law of exponent 1, which is Zipf's but for its first ranks. ``--libcachesim`` also replays the first
10 million accesses through libCacheSim's LRU, at one capacity each.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from simulator.arrays import Ints
from simulator.trace import make_batch
from workloads.base import BATCH
from workloads.lru_misses import InBlocks, InBytes, LruStack
from workloads.stack_distance import Keys

PEER = 10_000_000
SHARES = (0.001, 0.01, 0.1)


def stream(n: int, n_keys: int) -> Iterator[tuple[Keys, Ints]]:
    """Keys, and sizes from 1 to 2**14 that depend on the key alone."""
    rng, scale = np.random.default_rng(0), np.log(n_keys + 1)
    for at in range(0, n, BATCH):
        ranks = np.exp(rng.random(min(BATCH, n - at)) * scale).astype(np.uint64)
        keys = ranks * np.uint64(0x9E3779B97F4A7C15)
        yield keys, (keys >> np.uint64(50)).astype(np.int64) + 1


def count(n: int, n_keys: int, n_jobs: int, *, by_bytes: bool) -> dict[str, Any]:
    """One curve."""
    capacities = [max(int(n_keys * share), 1) * (8192 if by_bytes else 1) for share in SHARES]
    stack = LruStack(InBytes(capacities) if by_bytes else InBlocks(), n_jobs)
    wall, cpu = time.perf_counter(), time.process_time()
    for keys, sizes in stream(n, n_keys):
        stack.add(keys, sizes)
    stack.finish()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {
        "accesses": n, "keys": stack.n_keys, "by_bytes": by_bytes, "jobs": n_jobs, "wall_s": round(wall, 1),
        "wall_ns": round(wall / n * 1e9, 1), "cpu_ns": round(cpu / n * 1e9, 1),
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "misses": {size: stack.misses(size) for size in capacities},
    }  # fmt: skip


def peer(n: int, n_keys: int) -> None:
    """LibCacheSim's LRU at each capacity, and whether it counts the same."""
    from experiments.peer import replay, write_oracle_general

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.oracleGeneral.bin"
        write_oracle_general(make_batch(np.concatenate([keys for keys, _ in stream(n, n_keys)])), path)
        ours = count(n, n_keys, 1, by_bytes=False)["misses"]
        for size in ours:
            run = replay(str(path), "LRU", size, {})
            cpu = time.process_time()
            miss_ratio, _ = run()
            taken = (time.process_time() - cpu) / n * 1e9
            print(f"libCacheSim, {size:,} blocks: {taken:.1f} ns, equal: {round(miss_ratio * n) == ours[size]}")


def main() -> None:
    """Print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accesses", type=float, default=1e7)
    parser.add_argument("--keys", default="1e6")
    parser.add_argument("--jobs", default="1,2")
    parser.add_argument("--by-bytes", action="store_true")
    parser.add_argument("--libcachesim", action="store_true")
    said = parser.parse_args()
    n = int(said.accesses)
    started = time.process_time()
    n_made = sum(len(keys) for keys, _ in stream(min(n, PEER), 10**6))
    print(f"making it: {(time.process_time() - started) / n_made * 1e9:.1f} ns an access")
    for n_keys in (int(float(text)) for text in said.keys.split(",")):
        for jobs in map(int, said.jobs.split(",")):
            print(count(n, n_keys, jobs, by_bytes=said.by_bytes), flush=True)
        if said.libcachesim:
            peer(min(n, PEER), n_keys)


if __name__ == "__main__":
    main()
