"""What an engine adds to a cache: time of an access by policy, throughput by the number of clients.

``python -m benchmarks.live_engine``; the cache has all blocks in memory, so that what is measured is not the disk's.
"""

import argparse
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from benchmarks.live import put_all
from live import MemoryStore, MemoryTier, PrefetchEngine, TieredCache

POLICIES = [
    "next_n(n=4)", "next_n(n=4, trigger=access)", "stride(trigger=access)", "markov(trigger=access)",
    "lstm(epochs=1, threshold=0.2)", "hybrid(experts=[stride, markov])",
]  # fmt: skip
TRAIN = np.tile(np.arange(64), 40)
N_KEYS = 64


class Nowhere:
    """Takes keys, and does nothing."""

    def prefetch_async(self, keys: Sequence[int]) -> None:
        """Nothing."""


def said(policy: str, mode: Any, n: int) -> None:
    """Time of ``process_access`` in the thread that calls it, and of an inference; all accesses are misses."""
    with PrefetchEngine(policy, Nowhere(), mode=mode, train_on=TRAIN) as engine:
        walls = []
        for _ in range(3):
            wall, cpu = time.perf_counter(), time.thread_time()
            for key in range(n):
                engine.process_access(key % N_KEYS)
            walls.append(((time.perf_counter() - wall) / n * 1e6, (time.thread_time() - cpu) / n * 1e6))
            engine.drain()
        wall, cpu = min(one[0] for one in walls), min(one[1] for one in walls)
        found = engine.metrics()
    print(
        f"{policy:34} {mode:5}: {wall:7.1f} us an access, CPU of its thread {cpu:5.1f} us; an inference p50 "
        f"{found.p50_inference_ns / 1e3:6.1f} us, {found.n_answered / found.n_asked:.2f} of the questions answered",
        flush=True,
    )


def clients(policy: str | None, n_threads: int, seconds: float) -> None:
    """Reads of blocks of 4 KiB that are all in memory, by so many clients, with an engine or without."""
    tier = MemoryTier.model_validate({"name": "dram", "capacity": f"{N_KEYS * 4096} B"})
    cache = TieredCache([tier], MemoryStore(4096))
    put_all(cache, N_KEYS)
    counts = [0] * n_threads
    engine = PrefetchEngine(policy, cache, train_on=TRAIN, n_streams=n_threads) if policy else nullcontext()
    with cache, engine:
        until = time.perf_counter() + seconds
        latencies: list[list[float]] = [[] for _ in range(n_threads)]

        def client(number: int) -> None:
            out, key, mine = np.empty(4096, np.uint8), number, latencies[number]
            now = time.perf_counter()
            while now < until:
                cache.get(key % N_KEYS, out, stream=number)
                key, then, now = key + 1, now, time.perf_counter()
                mine.append(now - then)
            counts[number] = len(mine)

        threads = [threading.Thread(target=client, args=(number,)) for number in range(n_threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    median, tail = np.quantile(np.concatenate([np.array(one) for one in latencies]) * 1e6, [0.5, 0.99]).tolist()
    print(
        f"{policy or 'no engine':34} {n_threads} clients: {sum(counts) / seconds:8,.0f} accesses/s, "
        f"median {median:.0f}, p99 {tail:,.0f} us",
        flush=True,
    )


def main() -> None:
    """All of it, in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accesses", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=1.0)
    asked = parser.parse_args()
    for policy in POLICIES:
        for mode in ("async", "sync"):
            said(policy, mode, asked.accesses)
    for n_threads in (1, 2, 4, 8):
        for policy in (None, "next_n(n=4)", "next_n(n=4, trigger=access)", "lstm(epochs=1, threshold=0.2)"):
            clients(policy, n_threads, asked.seconds)


if __name__ == "__main__":
    main()
