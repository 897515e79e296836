"""How far the simulator is from this machine today: the three validations of docs/validation.md, as a row of its trend.

``python -m benchmarks.against_machine --machine my_machine.yaml --store FOLDER`` takes some 15 minutes, and is worth
something on a machine that does nothing else. Without ``--machine`` it calibrates first.
"""

import argparse
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

_CONFIGS = Path(__file__).parents[1] / "configs"
_HYBRID = {"name": "hybrid", "policy": {"kind": "hybrid", "start": "warm", "rule": "cost"}}
_OPTIONS = {
    "mixed": ["--seeds", "0"],
    "moe_experts": ["--accesses", "6000", "--arms", "none,markov,lstm,hybrid"],
    "cloudphysics": ["--accesses", "6000"],
}
_METRICS = ("mean_latency_ns", "p99_latency_ns")


def tierfetch(*arguments: str) -> None:
    """A command, which says on the terminal how far it is. Raises CalledProcessError."""
    subprocess.run([sys.executable, "-m", "tierfetch", *arguments], check=True)


def config_of(name: str, folder: Path) -> Path:
    """The shipped config; ``mixed`` with a hybrid more."""
    path = _CONFIGS / f"{name}.yaml"
    if name != "mixed":
        return path
    raw: dict[str, Any] = yaml.safe_load(path.read_text())
    raw["arms"].append(_HYBRID)
    made = folder / "mixed.yaml"
    made.write_text(yaml.safe_dump(raw, sort_keys=False))
    return made


def cells(folder: Path) -> str:
    """Of each arm the errors of the mean latency and of p99, in percent."""
    rows = pq.read_table(folder / "validation.parquet").to_pylist()
    found: dict[str, list[str]] = {}
    for row in rows:
        if row["told"] == "cache" and row["metric"] in _METRICS:
            found.setdefault(row["arm"], []).append(f"{100 * row['error']:+.0f}")
    return "; ".join(f"{arm} {', '.join(errors)}" for arm, errors in found.items())


def main() -> None:
    """Measure, and print the row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machine", type=Path, help="a preset of calibrate; else it is made first")
    parser.add_argument("--store", type=Path, default=Path(), help="a folder on the disk (here)")
    parser.add_argument("--repeats", default="3")
    parser.add_argument("names", nargs="*", default=list(_OPTIONS), help=f"of {', '.join(_OPTIONS)}")
    said = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=said.store) as made:
        folder, machine = Path(made), said.machine
        if machine is None:
            machine = folder / "machine.yaml"
            tierfetch(
                "calibrate", "--tiers", f"dram,file:{said.store}", "--durations", "mean", "--block",
                "16KiB,64KiB,256KiB", "--at-once", "1,2,4", "--out", str(machine),
            )  # fmt: skip
        for name in said.names:
            tierfetch(
                "validate", str(config_of(name, folder)), "--machine", str(machine), "--store", str(said.store),
                "--repeats", said.repeats, "--out", str(folder / name), *_OPTIONS[name],
            )  # fmt: skip
        print(f"| day | {' | '.join(said.names)} |\n|{'---|' * (len(said.names) + 1)}")
        row = " | ".join(cells(folder / name) for name in said.names)
        print(f"| {datetime.now(UTC):%d %B, %H:%M} | {row} |")


if __name__ == "__main__":
    main()
