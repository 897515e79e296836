"""Peak memory of a 50-million-access synthetic run without an accesses table: ``python -m benchmarks.memory``."""

import resource
import sys
import tempfile
import time
from pathlib import Path

from experiments.loading import load
from experiments.run import run_experiment

N_ACCESSES = 50_000_000
CONFIG = f"""
name: memory
seeds: [0]
workload:
  source: {{kind: zipf, accesses: {N_ACCESSES}, block: 4 KiB, n_keys: 100000}}
system:
  tiers:
    - {{name: hbm, capacity: 300 MiB, latency: 350 ns, read_bandwidth: 2 TB/s, write_bandwidth: 2 TB/s}}
  links:
    - {{call: 7 us, read_bandwidth: 25 GB/s, write_bandwidth: 25 GB/s}}
  origin: {{kind: store}}
baseline: none
arms:
  - {{name: none, policy: {{kind: none}}}}
output: {{accesses: false, prefetches: false, inferences: false, window: 100000}}
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "memory.yaml"
        config.write_text(CONFIG)
        start = time.perf_counter()
        run_experiment(load(config)[""], Path(folder) / "out", quiet=True, force=False)
        wall_s = time.perf_counter() - start
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{N_ACCESSES:,} accesses in {wall_s:.0f} s, peak memory {peak_mib:.0f} MiB (limit 1024)")
    sys.exit(peak_mib >= 1024)


if __name__ == "__main__":
    main()
