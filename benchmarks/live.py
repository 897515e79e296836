"""The live cache: what an access costs, what recording adds, throughput and latency by the number of clients.

``python -m benchmarks.live`` measures; ``--stress N`` makes N operations instead (``benchmarks/live_stress.py``).
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.live_stress import stress
from live import FileStore, MemoryStore, MemoryTier, Recorder, TieredCache


def put_all(cache: TieredCache, n: int) -> None:
    """Blocks 0 to n - 1."""
    data = np.zeros(cache.block, np.uint8)
    for key in range(n):
        cache.put(key, data)


def cost_of(work: Callable[[int], object], keys: list[int]) -> tuple[float, float]:
    """Wall and CPU time of one call, in us, the least of five rounds over the keys."""
    times = []
    for _ in range(5):
        wall, cpu = time.perf_counter(), time.process_time()
        for key in keys:
            work(key)
        n = len(keys)
        times.append(((time.perf_counter() - wall) / n * 1e6, (time.process_time() - cpu) / n * 1e6))
    return min(time[0] for time in times), min(time[1] for time in times)


def hits(block: int, recorder: Recorder | None) -> dict[str, tuple[float, float]]:
    """What a hit costs: read into a buffer, new, leased; written; and told that it is resident."""
    n, n_keys = 4000, 64
    tier = MemoryTier.model_validate({"name": "dram", "capacity": f"{n_keys * block} B"})
    cache = TieredCache([tier], MemoryStore(block), recorder=recorder)
    put_all(cache, n_keys)
    out, data = np.empty(block, np.uint8), np.zeros(block, np.uint8)
    keys = [key % n_keys for key in range(n)]

    def lease(key: int) -> None:
        with cache.lease(key):
            pass

    works: dict[str, Callable[[int], object]] = {
        "get into a buffer": lambda key: cache.get(key, out),
        "get": cache.get,
        "lease": lease,
        "put": lambda key: cache.put(key, data),
        "prefetch_async of one": lambda key: cache.prefetch_async((key,)),
    }
    found = {name: cost_of(work, keys) for name, work in works.items()}
    cache.close()
    return found


def clients(n_threads: int, hit_ratio: float, path: Path, seconds: float) -> tuple[float, float, float, float]:
    """Accesses a second of so many clients over a file, their median and 99th percentile in us, and the hit ratio.

    Reads, of which about so many are of blocks that tier 0 has.
    """
    block, n_hot, n_cold = 65536, 128, 1024
    store = FileStore(path, block)
    tier = MemoryTier.model_validate(
        {"name": "dram", "capacity": f"{(n_hot + 64) * block} B", "channels": 8, "eviction": "slru", "spare": 64}
    )
    with TieredCache([tier], store) as cache:
        if not store.holds(n_hot + n_cold - 1):
            put_all(cache, n_hot + n_cold)
            cache.flush()
        for _ in range(4):
            for key in range(n_hot):
                cache.get(key)
        before, until = cache.stats(), time.perf_counter() + seconds
        latencies: list[list[float]] = [[] for _ in range(n_threads)]

        def client(number: int) -> None:
            draw = np.random.default_rng([1, number])
            keys = np.where(
                draw.random(20000) < hit_ratio, draw.integers(n_hot, size=20000),
                n_hot + draw.integers(n_cold, size=20000),
            ).tolist()  # fmt: skip
            out, mine, at = np.empty(block, np.uint8), latencies[number], 0
            now = time.perf_counter()
            while now < until:
                cache.get(keys[at % 20000], out)
                at, then, now = at + 1, now, time.perf_counter()
                mine.append(now - then)

        threads = [threading.Thread(target=client, args=(number,)) for number in range(n_threads)]
        began = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took, after = time.perf_counter() - began, cache.stats()
    all_of_them = np.concatenate([np.array(one) for one in latencies]) * 1e6
    n_hits = after.n_hit - before.n_hit
    median, tail = np.quantile(all_of_them, [0.5, 0.99]).tolist()
    return len(all_of_them) / took, median, tail, n_hits / (after.n_accesses - before.n_accesses)


def measure(seconds: float) -> None:
    """All of it, in turn."""
    for block in (4096, 65536):
        for name, recorder in (("", None), (", recorded", Recorder())):
            for what, (wall, cpu) in hits(block, recorder).items():
                print(f"{block:6} B{name}: {what:22} {wall:6.1f} us, CPU {cpu:6.1f} us", flush=True)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        for hit_ratio in (1.0, 0.9, 0.0):
            for n_threads in (1, 2, 4, 8, 16):
                rate, median, tail, found = clients(n_threads, hit_ratio, Path(folder) / "blocks", seconds)
                print(
                    f"{n_threads:2} clients, hits {found:.2f}: {rate:8,.0f} accesses/s, "
                    f"{rate * 65536 / 1e6:6,.0f} MB/s, median {median:7.0f} us, p99 {tail:7.0f} us",
                    flush=True,
                )


def main() -> None:
    """Measure, or stress."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stress", type=int, default=0, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=3.0)
    given = parser.parse_args()
    if given.stress:
        stress(given.stress, given.seed)
    else:
        measure(given.seconds)


if __name__ == "__main__":
    main()
