"""Engines beside their peers, on the same keys in one run: engines x miss ratio x streams x policy."""

import statistics
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import contenders as c
from benchmarks.alone import Timed, alone
from benchmarks.results import Measurement
from workloads.readers.format import trace_path
from workloads.registry import SOURCES

N_ACCESSES, ROUNDS = 2_000_000, 3
N_SLOW = 200_000
# Zipf(1.0) over 100,000 keys: blocks for about so many misses.
ZIPF = {"zipf 5 % misses": 80_000, "zipf 10 % misses": 43_000, "zipf 25 % misses": 11_500}
CLOUDPHYSICS, REPEATS = "cloudPhysicsIO.oracleGeneral.bin", 10
POLICIES = ("none", "next_n", "obl", "stride", "markov")


def traces(folder: Path) -> dict[str, tuple[Path, int]]:
    """Files of keys, and the capacity for each, by name; the real one where it is there."""
    zipf = folder / "zipf.npy"
    made = SOURCES.parse(f"zipf(n_keys=100000, accesses={N_ACCESSES}, block=1 B)").build(seed=0)
    np.save(zipf, np.concatenate([batch.key for batch in made.batches()]))
    found = {name: (zipf, capacity) for name, capacity in ZIPF.items()}
    real = trace_path(CLOUDPHYSICS)
    if real.exists():
        trace = SOURCES.validate({"kind": "oracle_general", "path": str(real)}).build(0)
        keys = np.concatenate([batch.key for batch in trace.batches()])
        np.save(folder / "cloudphysics.npy", np.tile(keys, REPEATS))
        found["cloudphysics"] = folder / "cloudphysics.npy", len(np.unique(keys)) // 10
    return found


def _field(trace: Path, capacity: int) -> dict[str, tuple[Any, ...]]:
    """Contenders: what to call, with what; the slow ones on the first part of the trace."""
    short = trace.with_name(f"{trace.stem}-short.npy")
    if not short.exists():
        np.save(short, np.load(trace)[:N_SLOW])
    found = c.peers(trace, capacity)
    if find_spec("cachetools"):
        found["cachetools, untimed"] = (c.cachetools, short, capacity)
    found["plain SimPy"] = (c.plain, short, capacity)
    for n_streams in (1, 16):
        for policy in POLICIES:
            for kind in ("compiled", "model"):
                of_streams = "" if n_streams == 1 else f", {n_streams} streams"
                path = trace if kind == "compiled" else short
                found[f"{kind}, {policy}{of_streams}"] = (c.engine, path, capacity, policy, n_streams, kind)
    return found


def measure() -> Iterator[Measurement]:
    """Medians of CPU time; contenders take turns, each time in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        for name, (trace, capacity) in traces(Path(folder)).items():
            field = _field(trace, capacity)
            taken: dict[str, list[Timed]] = {contender: [] for contender in field}
            for _ in range(ROUNDS):
                for contender, call in field.items():
                    taken[contender].append(alone(*call))
            for contender, rounds in taken.items():
                n = len(np.load(field[contender][1], mmap_mode="r"))
                seconds = statistics.median(timed.seconds for timed in rounds)
                yield Measurement(f"engines: {name}", contender, n, seconds, max(t.peak_memory_bytes for t in rounds))
