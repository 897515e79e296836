"""Small valid configs of every kind of workload, policy and eviction, each of which runs in milliseconds."""

import copy
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from simulator.residency.registry import EVICTIONS
from tests.test_experiment import config
from tests.test_policies import EXAMPLES as POLICIES
from tests.test_workloads import EXAMPLES as GENERATORS

_POLICIES = {name: policy for name, policy in POLICIES.items() if not name.startswith("lstm")}
LSTM_ARM = {
    "name": "lstm",
    "policy": {
        "kind": "lstm", "vocabulary": 16, "epochs": 1, "embedding": 4, "hidden": 4, "window": 4, "device": "cpu",
        "backend": "eager",
    },
    "charge": {"kind": "fixed", "latency": "5 us"},
}  # fmt: skip


def traces(folder: Path) -> list[dict[str, Any]]:
    """Sources that are files, made once in a folder."""
    csv, parquet, ids = (folder / f"trace.{ending}" for ending in ("csv", "parquet", "txt"))
    if not ids.exists():
        draws = np.random.default_rng(0)
        key, n = draws.integers(0, 30, 150), 150
        columns = {"k": key, "t": np.arange(n) * 1000, "s": np.full(n, 4096), "stream": key % 3}
        table = pa.table({name: pa.array(column) for name, column in columns.items()})
        pa.csv.write_csv(table, csv)
        pq.write_table(table, parquet)
        ids.write_text("".join(f"{one}\n" for one in key))
    named = {"key": "k", "time_ns": "t", "size_bytes": "s", "stream": "stream"}
    return [
        {"kind": "table", "path": str(csv), "columns": named},
        {"kind": "table", "path": str(parquet), "columns": named},
        {"kind": "ids", "path": str(ids), "block": "4 KiB"},
    ]


def experiment(draws: random.Random, folder: Path) -> dict[str, Any]:
    """One of them."""
    content = config(name="c", seeds=draws.choice([[0], [3], [0, 1]]))
    files = traces(folder)
    source = _source(draws, files)
    content["workload"] = {"source": source, "train_ratio": draws.choice([0.5, 0.25])}
    arrivals: list[dict[str, Any]] = [{"kind": "closed", "think": "1 ms"}, {"kind": "poisson", "mean_gap": "20 us"}]
    if source["kind"] == "table":
        arrivals += [{"kind": "open", "speedup": 2.0, "spread": draws.choice([True, False, "jitter"])}] * 3
    content["workload"]["arrivals"] = draws.choice(arrivals)
    content["arms"] = [{"name": "none", "policy": {"kind": "none"}}, _arm(draws)]
    _vary(content, draws)
    return content


def _source(draws: random.Random, files: list[dict[str, Any]]) -> dict[str, Any]:
    def generator(accesses: int) -> dict[str, Any]:
        kind = draws.choice(list(GENERATORS))
        return {"kind": kind, "accesses": accesses, "block": "4 KiB", **GENERATORS[kind]}

    match draws.randrange(6):
        case 0:
            return {"kind": "phases", "rounds": 2, "phases": [generator(60), generator(40)]}
        case 1:
            return {"kind": "interleave", "parts": [generator(60), generator(50)]}
        case 2:
            return dict(draws.choice(files))
        case _:
            return generator(120)


def _arm(draws: random.Random) -> dict[str, Any]:
    charge = draws.choice([{"kind": "fixed", "latency": "5 us"}, {"kind": "free"}])
    if draws.random() < 0.04:
        return copy.deepcopy(LSTM_ARM)
    policy = POLICIES[draws.choice(list(_POLICIES))]
    arm = {"name": "other", "policy": policy, "charge": charge}
    if draws.random() < 0.2:
        arm["set"] = {"system.tiers.0.capacity": "64 KiB"}
    return arm


def _vary(content: dict[str, Any], draws: random.Random) -> None:
    """Parts that a config may leave out."""
    system = content["system"]
    # A few of them: each is compiled once for the process.
    kinds = ["lru", "fifo", "sieve", {"kind": "s3fifo", "small_ratio": 0.2}]
    assert all(kind in EVICTIONS for kind in kinds if isinstance(kind, str))
    system["tiers"][0]["eviction"] = draws.choice(kinds)
    system["tiers"][0]["admission"] = draws.choice(["all", {"kind": "size", "largest": "8 KiB"}, "tinylfu"])
    if draws.random() < 0.3:
        rate = {"read_bandwidth": "100 GB/s", "write_bandwidth": "100 GB/s"}
        system["tiers"].append({"name": "dram", "capacity": "160 KiB", "latency": "100 ns", **rate})
        system["links"].append({"call": "10 us", "channels": 4, "blocks_per_call": 2, **rate})
        system["placement"] = draws.choice(["inclusive", "exclusive"])
    if draws.random() < 0.3:
        enters = draws.choice(["first", "last"])
        system["origin"] = {"kind": "compute", "per_mib": "1 ms", "call": "5 us", "channels": 2, "enters": enters}
    if draws.random() < 0.3:
        system["prefetch"] = {"in_flight": 8, "queued": 4, "bytes": "1 MiB", "max_wait": "1 ms", "enters": "region"}
        system["inference"] = {"mode": "sync", "servers": 2, "queue_limit": 4, "batch_size": 2, "stale_after": "1 ms"}
    if draws.random() < 0.3:
        content["start"] = "warm"
        content["warm_up"] = draws.choice([10, 0.1, "mser5", "none"])
    if draws.random() < 0.3:
        kept = draws.choice([False, {"kind": "sampled", "rate": 0.5}, {"kind": "windowed", "length": 5, "every": 20}])
        content["output"] = {"accesses": kept, "prefetches": True, "inferences": False, "window": 20}
    if draws.random() < 0.2:
        content["repeats"] = 2
    if draws.random() < 0.2:
        content["engine"] = "simpy"
    if draws.random() < 0.1:
        content["variants"] = [
            {"name": "a", "set": {"repeats": 1}}, {"name": "b", "set": {"system.tiers.0.capacity": "80 KiB"}},
        ]  # fmt: skip
