"""Time and memory against the length of the trace, through the whole command: 10^5 to 10^8 accesses."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.results import Measurement

LENGTHS = (10**5, 10**6, 10**7, 10**8)
POLICIES = ("none", "next_n")
CONFIG = """
name: scaling
seeds: [0]
workload:
  source: {{kind: zipf, accesses: {accesses}, block: 4 KiB, n_keys: 100000}}
  train_ratio: 0.0
system:
  tiers:
    - {{name: hbm, capacity: 300 MiB, latency: 350 ns, read_bandwidth: 2 TB/s, write_bandwidth: 2 TB/s}}
  links:
    - {{call: 7 us, read_bandwidth: 25 GB/s, write_bandwidth: 25 GB/s}}
  origin: {{kind: store}}
baseline: {policy}
arms:
  - {{name: {policy}, policy: {{kind: {policy}}}}}
output: {{accesses: {{kind: sampled, rate: 0.001}}, prefetches: false, inferences: false, window: 100000}}
"""


def run(folder: Path, accesses: int, policy: str) -> Measurement:
    """The time is that of the simulation, as the ``runs`` table has it; the memory that of the whole command."""
    config, out = folder / "scaling.yaml", folder / f"{policy}-{accesses}-{time.monotonic_ns()}"
    config.write_text(CONFIG.format(accesses=accesses, policy=policy))
    process = subprocess.Popen([sys.executable, "-m", "experiments.run", str(config), "--out", str(out), "--quiet"])
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{policy}, {accesses} accesses: status {status}")
    seconds = pq.read_table(out / "runs.parquet")["wall_s"][0].as_py()
    return Measurement("scaling", policy, accesses, seconds, used.ru_maxrss * 1024)


def measure() -> Iterator[Measurement]:
    """The median of three of the short ones."""
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), 1000, "none")
        for policy in POLICIES:
            for accesses in LENGTHS:
                rounds = [run(Path(folder), accesses, policy) for _ in range(3 if accesses <= 10**6 else 1)]
                yield sorted(rounds, key=lambda m: m.seconds)[len(rounds) // 2]
