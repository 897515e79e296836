"""Every eviction policy on one trace: untimed, through the whole engine, and libCacheSim's: ``make bench``.

libCacheSim is optional: ``make bench`` installs its wheel. Where it is not there, its columns are empty.
"""

import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.engine_speed import keep, rate, run, system, zipf
from simulator.demand import misses_of
from simulator.future import future_of
from simulator.residency.names import EVICTION_NAMES
from tests.strategies import ListWorkload

try:
    import libcachesim
except ImportError:
    libcachesim = None

N_ACCESSES, CAPACITY, ROUNDS = 1_000_000, 11_500, 3
# What libCacheSim calls them. LFU ageing, GDSF and Hyperbolic have its own parameters there: counts differ.
THEIRS = {
    "lru": "LRU", "fifo": "FIFO", "random": "Random", "clock": "Clock", "sieve": "Sieve", "s3fifo": "S3FIFO",
    "lfu": "LFU", "lfuda": "LFUDA", "arc": "ARC", "2q": "TwoQ", "slru": "SLRU", "lirs": "LIRS", "wtinylfu": "WTinyLFU",
    "gdsf": "GDSF", "hyperbolic": "Hyperbolic", "belady": "Belady",
}  # fmt: skip


def write_trace(workload: ListWorkload, path: Path) -> None:
    """The trace as oracleGeneral, with the next use of each key, which libCacheSim's Belady reads."""
    batch = workload.batch
    records = np.zeros(len(batch), [("time", "<u4"), ("key", "<u8"), ("size", "<u4"), ("next", "<i8")])
    records["key"], records["size"] = batch.key, 1
    next_use = future_of(iter([batch])).next_use
    # libCacheSim counts from 1; never again is the largest number there is.
    records["next"] = np.where(next_use < len(batch), next_use + 1, np.iinfo(np.int64).max)
    records.tofile(path)


def untimed(workload: ListWorkload, eviction: str) -> int:
    """Misses by the residency alone: no time, no links, no accounting."""
    return int(misses_of(workload, system(CAPACITY, eviction), 0, 0)[1].sum())


def theirs(path: Path, eviction: str) -> float:
    """The miss ratio that libCacheSim finds."""
    reader = libcachesim.TraceReader(str(path), libcachesim.TraceType.ORACLE_GENERAL_TRACE)
    cache = getattr(libcachesim, THEIRS[eviction])(CAPACITY)
    return float(cache.process_trace(reader)[0])


def median_rate(call: Callable[[], Any]) -> float:
    """Millions of accesses a second of CPU time."""
    return statistics.median(rate(N_ACCESSES, call) for _ in range(ROUNDS))


def main() -> None:
    workload = keep(zipf(N_ACCESSES))
    print(f"Zipf(1.0) over 100,000 keys, {N_ACCESSES:,} accesses, capacity {CAPACITY:,} blocks of 1 B;")
    print("millions of accesses per second of CPU time; whole engine: timed, with tiers, links and accounting")
    print("eviction       misses    untimed  whole engine  libCacheSim  misses there  untimed/libCacheSim")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "zipf.oracleGeneral.bin"
        write_trace(workload, path)
        for eviction in EVICTION_NAMES:
            misses = untimed(workload, eviction)  # also compiles
            ours = median_rate(partial(untimed, workload, eviction))
            engine = rate(N_ACCESSES, partial(run, workload, CAPACITY, eviction))
            line = f"{eviction:11}  {misses / N_ACCESSES:8.4f}  {ours:9.2f}  {engine:12.3f}"
            if libcachesim is not None:
                found = theirs(path, eviction)
                other = median_rate(partial(theirs, path, eviction))
                line += f"  {other:11.2f}  {found:12.4f}  {ours / other:19.2f}"
            print(line, flush=True)
    if libcachesim is None:
        print("libCacheSim is not installed: pip install --no-deps libcachesim")


if __name__ == "__main__":
    main()
