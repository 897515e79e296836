"""How far a timed run in slices is off the whole, by the number of slices and what is run ahead of each, not judged.

``python -m benchmarks.sliced`` prints a line of Markdown for each trace, policy, number of slices and warm-up: hit
ratio, mean latency and 99 % quantile of the judged accesses of all slices, beside those of the whole run.
"""

from typing import Any

import numpy as np
import pandas as pd

import tierfetch

TRACES: dict[str, dict[str, Any]] = {
    "cloudphysics": {"kind": "vscsi", "path": "cloudPhysicsIO.vscsi", "block": "4 KiB"},
    "gcc": {"kind": "addresses", "path": "address_gcc.trace.gz", "block": "64 B"},
    "mooncake": {"kind": "mooncake", "path": "mooncake_conversation.jsonl", "block": "4 KiB"},
}
POLICIES = ("none", "markov(trigger=access)")
SLICES = (4, 16)
WARM_UPS = (0.0, 0.5, 2.0)
"""In slices."""
MOST = 100_000
_FAST = {"read_bandwidth": "55 GB/s", "write_bandwidth": "55 GB/s"}


def system_of(n_keys: int, block_bytes: int) -> tierfetch.System:
    """A tier of a tenth of the keys over one of three tenths, and an origin far away."""
    tiers = [
        {"name": "hbm", "capacity": f"{n_keys // 10 * block_bytes} B", "latency": "350 ns", "bandwidth": "2 TB/s"},
        {
            "name": "dram",
            "capacity": f"{n_keys * 3 // 10 * block_bytes} B",
            "latency": "120 ns",
            "bandwidth": "100 GB/s",
        },
    ]
    for tier in tiers:
        tier["read_bandwidth"] = tier["write_bandwidth"] = tier.pop("bandwidth")
    origin = {"kind": "store", "latency": "90 us"}
    return tierfetch.System.model_validate({"tiers": tiers, "links": [_FAST, _FAST], "origin": origin})


def run(system: tierfetch.System, source: dict[str, Any], policy: str, first: int, n: int, skipped: int) -> Any:
    """Whether each judged access hit, and its latency."""
    piece = {"kind": "slice", "source": source, "first": first, "accesses": n}
    rows = tierfetch.simulate(system, piece, policy, arrivals="closed(think=100 us)", keep=["accesses"]).accesses
    return rows.sort_values("access")[["outcome", "latency_ns"]].iloc[skipped:]


def figures(rows: pd.DataFrame) -> tuple[float, float, float]:
    """Hit ratio, mean latency and its 99 % quantile."""
    hits = rows["outcome"].isin(["hit", "hit_prefetched"]).mean()
    return float(hits), float(rows["latency_ns"].mean()), float(rows["latency_ns"].quantile(0.99))


def main() -> None:
    """Print the table."""
    print("| trace | policy | slices | warm-up, slices | run in all | hit ratio | mean latency | 99 % |")
    print("|---|---|---|---|---|---|---|---|")
    for name, source in TRACES.items():
        trace = tierfetch.Trace.of(source)
        n = min(trace.length(), MOST)
        keys = np.unique(trace.to_arrow(0, n).column("key").to_numpy())
        system = system_of(len(keys), 64 if name == "gcc" else 4096)
        for policy in POLICIES:
            whole = figures(run(system, source, policy, 0, n, 0))
            for n_slices in SLICES:
                length = n // n_slices
                for warm_up in WARM_UPS:
                    parts, n_run = [], 0
                    for i in range(n_slices):
                        first = max(i * length - round(warm_up * length), 0)
                        end = n if i == n_slices - 1 else (i + 1) * length
                        parts.append(run(system, source, policy, first, end - first, i * length - first))
                        n_run += end - first
                    hit, mean, tail = figures(pd.concat(parts))
                    cells = [name, f"`{policy}`", f"{n_slices}", f"{warm_up:g}", f"{n_run / n:.1f} x"]
                    cells += [f"{hit - whole[0]:+.4f} of {whole[0]:.3f}", f"{mean / whole[1] - 1:+.1%}"]
                    print("|", " | ".join([*cells, f"{tail / whole[2] - 1:+.1%}"]), "|", flush=True)


if __name__ == "__main__":
    main()
