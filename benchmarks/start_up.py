"""How long until something is seen, with warm caches: the help, the first line of progress, the end of mixed.yaml."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.results import Measurement

ROUNDS = 3
ROOT = Path(__file__).parent.parent


def until(line: str, *arguments: str) -> float:
    """Seconds from the start of the command to a line of its output that begins so; to its end for an empty one."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "experiments.run", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    found = None
    with process.stdout:
        for text in process.stdout:
            if line and found is None and text.startswith(line):
                found = time.perf_counter() - start
    process.wait()
    return time.perf_counter() - start if found is None else found


def measure() -> Iterator[Measurement]:
    """Medians; here ``n_accesses`` is 1: a start."""
    with tempfile.TemporaryDirectory() as folder:
        ways = {"help": ("", "--help")}
        for name, line in (("first progress of mixed.yaml", "[1/"), ("all of mixed.yaml", "")):
            ways[name] = (line, "configs/mixed.yaml", "--force", "--out", f"{folder}/out")
        for name, (line, *arguments) in ways.items():
            until(line, *arguments)
            times = sorted(until(line, *arguments) for _ in range(ROUNDS))
            yield Measurement("start_up", name, 1, times[ROUNDS // 2])
