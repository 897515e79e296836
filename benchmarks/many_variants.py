"""How long thousands of variants take to open as one, and how much memory: ``python -m benchmarks.many_variants``.

The variants are copies of a small finished result: hard links to its large tables, each with a manifest and small
tables of its own that say other settings. So what is measured is reading, and no run.
"""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from experiments.kept import Kept
from experiments.results import table_of

_CONFIG = """
name: grid
seeds: [0, 1]
workload: {source: {kind: mixed, accesses: 500, n_keys: 200, next_ratio: 0.8, block: 64 KiB}}
arms: [none, next_n]
sweep: {arms.next_n.policy.n: [1, 2]}
"""
SIZES = (100, 1_000, 10_000)


def copies(of: Path, folder: Path, n: int) -> None:
    """Variants of a result below a folder, as many as are asked for: each with a capacity and a latency of its own."""
    import pyarrow.parquet as pq

    for i in range(n):
        place = folder / f"v{i:05d}"
        place.mkdir(parents=True)
        for path in of.rglob("*.parquet"):
            if path.parent != of:
                (place / path.parent.name).mkdir(exist_ok=True)
                os.link(path, place / path.parent.name / path.name)
        kept = Kept.load(of)
        config = kept.about["config"]
        config["name"] = f"grid-v{i:05d}"
        config["system"]["tiers"][0]["capacity"] = f"{(i // 10 + 1) << 20} B"
        config["system"]["origin"]["latency"] = f"{(i % 10 + 1) * 1000} ns"
        written = Kept(place)
        written.runs = kept.runs
        written.write({**kept.about, "name": config["name"], "config": config})
        for name in ("runs", "comparisons", "attribution"):
            table = table_of(of, name)
            pq.write_table(table, place / f"{name}.parquet", write_page_checksum=True)


def measured(folder: Path) -> None:
    """Say how long opening, all runs and a part of the accesses take in this process, and what memory it came to."""
    import tierfetch

    began = time.process_time(), time.monotonic()
    results = tierfetch.Results.open(folder)
    _said("open", *began)
    began = time.process_time(), time.monotonic()
    n = len(results.runs)
    _said(f"runs ({n:,} rows)", *began)
    if hasattr(results, "dataset"):
        import pyarrow.dataset as ds

        began = time.process_time(), time.monotonic()
        accesses = results.dataset("accesses")
        _said("dataset of accesses", *began)
        began = time.process_time(), time.monotonic()
        some = ds.field("system.tiers.hbm.capacity") == 1 << 20
        n = accesses.to_table(filter=some, columns=["arm", "latency_ns"]).num_rows
        _said(f"one capacity of them ({n:,} rows)", *began)


def _said(what: str, cpu: float, wall: float) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"  {what}: {time.process_time() - cpu:.2f} s of CPU, {time.monotonic() - wall:.2f} s, "
        f"peak memory so far {peak:.0f} MiB", flush=True,
    )  # fmt: skip


def main() -> None:
    """Make the variants of each size, and measure each in a process of its own."""
    sizes = [int(text) for text in sys.argv[1:]] or SIZES
    with TemporaryDirectory() as made:
        (config := Path(made) / "grid.yaml").write_text(_CONFIG)
        run = [sys.executable, "-m", "tierfetch", "run", str(config), "--out", f"{made}/one", "--quiet"]
        subprocess.run(run, check=True)
        for n in sizes:
            copies(Path(made) / "one", Path(made) / str(n), n)
            print(f"{n:,} variants")
            again = [sys.executable, "-c", "import sys, pathlib; from benchmarks.many_variants import measured; "
                     "measured(pathlib.Path(sys.argv[1]))"]  # fmt: skip
            subprocess.run([*again, f"{made}/{n}"], check=True)


if __name__ == "__main__":
    main()
