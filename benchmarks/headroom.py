"""``python -m benchmarks.headroom [TRACE ...]``: how much of what prefetching could save each kind of policy takes.

Five recorded traces (the folder that TIERFETCH_TRACES names) in a closed loop with 100 us of thinking, blocks of 4 KiB,
a tier 0 of a tenth of the keys and a DRAM of three tenths behind it, an origin 90 us away. The first 20,000 accesses,
half of them to learn from; mean latency of the rest, as a share of ``none``'s. In brackets: the share of what the
oracle shows to be possible. Below: who is faster than the oracle, if anybody is.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.console import Console

import tierfetch
from workloads.registry import SOURCES

N = 20_000
TRACES: dict[str, dict[str, Any]] = {
    "cloudphysics": {"kind": "vscsi", "path": "cloudPhysicsIO.vscsi"},
    "mooncake": {"kind": "mooncake", "path": "mooncake_conversation.jsonl"},
    "lirs_multi1": {"kind": "ids", "path": "lirs_multi1.trace.gz"},
    "orm": {"kind": "binary_ids", "path": "cache2k_orm-busy.trace.xz"},
    "gcc": {"kind": "addresses", "path": "address_gcc.trace.gz"},
}
_ACCESS = {"trigger": "access"}
CLASSICS: dict[str, dict[str, Any]] = {
    **{f"next_{n}": {"kind": "next_n", "n": n} for n in (1, 2, 4, 8)},
    "stride": {"kind": "stride"}, "ghb": {"kind": "ghb"}, "dcpt": {"kind": "dcpt"}, "sms": {"kind": "sms"},
    "markov": {"kind": "markov", **_ACCESS}, "isb": {"kind": "isb", **_ACCESS}, "spp": {"kind": "spp"},
    "best_offset": {"kind": "best_offset"}, "mithril": {"kind": "mithril"}, "amp": {"kind": "amp"},
    "probability_graph": {"kind": "probability_graph"}, "leap": {"kind": "leap"}, "obl": {"kind": "obl"},
    "stream_buffers": {"kind": "stream_buffers"}, "linux_readahead": {"kind": "linux_readahead"},
}  # fmt: skip
OTHERS: dict[str, dict[str, Any]] = {
    "static_deltas": {"kind": "static_deltas"},
    "pythia": {"kind": "pythia"},
    "selector": {"kind": "selector"},
    "hybrid": {"kind": "hybrid"},
    "hybrid-cost": {"kind": "hybrid", "rule": "cost"},
}


def config_of(
    source: dict[str, Any], arms: dict[str, dict[str, Any]], charge: Any = "free", first: int = 0
) -> dict[str, Any]:
    """As a config file has it: a piece of a trace, from an access on. Raises IndexError if it does not reach so far."""
    source = {"kind": "slice", "first": first, "accesses": N, "source": {**source, "block": "4 KiB"}}
    batches = [batch.key for batch in SOURCES.validate(source).build(0).batches()]
    if not batches:
        raise IndexError(f"the trace has no access {first:,}")
    keys = np.concatenate(batches)
    capacity = max(32, len(np.unique(keys)) // 10)
    fast = {"read_bandwidth": "55 GB/s", "write_bandwidth": "55 GB/s"}
    tiers = [
        {"name": "hbm", "capacity": f"{4 * capacity} KiB", "latency": "350 ns", "bandwidth": "2 TB/s"},
        {"name": "dram", "capacity": f"{12 * capacity} KiB", "latency": "120 ns", "bandwidth": "100 GB/s"},
    ]
    return {
        "name": "headroom", "seeds": [0],
        "workload": {"source": source, "arrivals": {"kind": "closed", "think": "100 us"}, "train_ratio": 0.5},
        "system": {
            "placement": "exclusive", "clean_evictions": "demote", "tiers": tiers,
            "links": [{"call": "7 us", **fast}, {"call": "10 us", "channels": 8, "bandwidth": "6 GB/s"}],
            "origin": {"kind": "store", "latency": "80 us"},
        },
        "arms": ["none", *({"name": name, "policy": policy, "charge": charge} for name, policy in arms.items())],
        "output": {"accesses": False, "prefetches": False, "inferences": False},
    }  # fmt: skip


def arms() -> dict[str, dict[str, Any]]:
    """Each, cold and warm, beside the oracle."""
    every = {**CLASSICS, **OTHERS}
    warm = {f"{name}-warm": {**policy, "start": "warm"} for name, policy in every.items() if name != "static_deltas"}
    return {**every, **warm, "oracle": {"kind": "oracle"}}


def shares(name: str, folder: Path, wanted: dict[str, dict[str, Any]], first: int = 0) -> dict[str, float]:
    """Each arm's mean latency, as a share of that without prefetching."""
    results = tierfetch.Experiment.load(config_of(TRACES[name], wanted, "free", first)).run(out=folder, progress=False)
    latency = results.runs.set_index("arm")["mean_latency_ns"]
    return {arm: float(latency[arm] / latency["none"]) for arm in wanted}


def main() -> None:
    """A column for each trace, the best of all first."""
    names = sys.argv[1:] or list(TRACES)
    found = {}
    with TemporaryDirectory() as folder:
        for name in names:
            found[name] = shares(name, Path(folder) / name, arms())
    console = Console(width=160)
    console.print(f"| | {' | '.join(names)} |\n|---|{'---:|' * len(names)}", highlight=False, markup=False)
    means = {arm: float(np.mean([found[name][arm] for name in names])) for arm in arms()}
    for arm in sorted(means, key=means.__getitem__):
        cells = " | ".join(_cell(found[name], arm) for name in names)
        console.print(f"| {arm} | {cells} |", highlight=False, markup=False)
    faster = [f"{arm} on {name}" for name in names for arm in arms() if found[name][arm] < found[name]["oracle"]]
    console.print(f"\nFaster than the oracle: {', '.join(faster) or 'none'}", highlight=False, markup=False)


def _cell(shares: dict[str, float], arm: str) -> str:
    possible = 1 - shares["oracle"]
    captured = f" ({(1 - shares[arm]) / possible:.2f})" if arm != "oracle" and possible > 0 else ""
    return f"{shares[arm]:.3f}{captured}"


if __name__ == "__main__":
    main()
