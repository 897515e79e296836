"""What a run of a large sweep costs beside itself: ``python -m benchmarks.scale [here] [ray] [empty] [10 1000 10000]``.

Sweeps of experiments of 20 runs of some accesses each, by two processes and on a Ray of two workers. CPU time of the
process that commands and of all others, less that of the same runs alone in one process; and what they take of memory.
``empty``: nobody runs anything, so that what is left is the process that commands, but for talking to others.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import yaml

from experiments.crews import Result, Task, Work
from experiments.kept import Done

N_SEEDS, N_ARMS, ACCESSES = 10, 2, 20
_EVERY_S = 0.5
_MADE = """
import re, resource, sys
from pathlib import Path
from experiments.loading import load_all
from experiments.many import run_many
from experiments.run import How

cluster = {"here": None, "ray": "ray", "empty": None}[sys.argv[3]]
if sys.argv[3] == "empty":
    import experiments.workers
    from benchmarks.scale import Empty

    experiments.workers.Processes = Empty
run_many(load_all(Path(sys.argv[1])), Path(sys.argv[2]), How(quiet=True, jobs=2, cluster=cluster), None, sys.argv[1])
used = resource.getrusage(resource.RUSAGE_SELF)
# Not ru_maxrss: at first that is the memory of the process that has started this one.
most_kb = int(re.search(r"VmHWM:\\s+([0-9]+) kB", Path("/proc/self/status").read_text())[1])
print(used.ru_utime + used.ru_stime, most_kb / 1024)
"""


class Empty:
    """A crew whose runs cost nothing: the first of each arm is made, others have its row and files again."""

    def __init__(self, n_jobs: int, _: int) -> None:
        self.n_at_once = n_jobs
        self._waiting = deque[tuple[Work, Task]]()
        self._first: dict[str, tuple[str, Done, dict[str, bytes]]] = {}

    @property
    def n_waiting(self) -> int:
        """How many have not begun."""
        return len(self._waiting)

    @property
    def is_busy(self) -> bool:
        """Whether anything is left."""
        return bool(self._waiting)

    def add(self, work: Work, tasks: Sequence[Task]) -> None:
        """Make these, too."""
        self._waiting.extend((work, task) for task in tasks)

    def step(self) -> Iterator[tuple[Work, Task, Result]]:
        """The next one is over."""
        work, task = self._waiting.popleft()
        run, shown = task.run, work.show(task)
        if run.arm.name not in self._first:
            from experiments.single import run_one

            done = run_one(work.experiment, run, work.folder, task.n_warm_up, trace=work.traces[run.seed])
            contents = {name: (work.folder / name).read_bytes() for name in done.files}
            self._first[run.arm.name] = run.stem, done, contents
        else:
            stem, of, contents = self._first[run.arm.name]
            named = {name: name.replace(stem, run.stem) for name in contents}
            for name, one in contents.items():
                path = work.folder / named[name]
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(one)
            row = {**of.row, "seed": run.seed, "repeat": run.repeat}
            done = Done(row, {named[name]: digest for name, digest in of.files.items()})
        shown.finish(done.row)
        yield work, task, done

    def rest(self) -> None:
        """There is nobody."""

    def close(self) -> None:
        """There is nobody."""


def content(n_runs: int) -> dict[str, Any]:
    """So many runs: of an experiment, or of experiments of 20."""
    n_experiments, n_seeds = max(n_runs // (N_SEEDS * N_ARMS), 1), min(N_SEEDS, n_runs // N_ARMS)
    return {
        "name": "scale",
        "seeds": list(range(n_seeds)),
        "workload": {"source": {"kind": "random", "accesses": ACCESSES, "n_keys": 5, "block": "4 KiB"}},
        "system": {"preset": "h100-sxm-pcie5", "tiers": {"hbm": {"capacity": "1 MiB"}, "dram": {"capacity": "4 MiB"}}},
        "arms": ["none", "next_n(n=2)"],
        "output": {"accesses": False, "prefetches": False, "inferences": False},
        "sweep": {"system.tiers.dram.latency": [f"{100 + i} ns" for i in range(n_experiments)]},
    }


def of_a_run(folder: Path) -> float:
    """CPU time of a run alone, in this process, once all is compiled and imported."""
    from experiments.loading import load
    from experiments.plan import planned
    from experiments.single import run_one

    path = folder / "alone.yaml"
    path.write_text(yaml.safe_dump(content(2 * N_SEEDS * N_ARMS)))
    one, *_ = load(path).values()
    out = folder / "alone"
    out.mkdir()
    runs = planned(one)
    for run in runs:
        run_one(one, run, out)
    began = time.process_time()
    for _ in range(5):
        for run in runs:
            run_one(one, run, out)
    return (time.process_time() - began) / (5 * len(runs))


def measured(folder: Path, where: str, n_runs: int) -> dict[str, float]:
    """What so many runs take."""
    path, out = folder / f"{n_runs}.yaml", folder / f"{where}-{n_runs}"
    path.write_text(yaml.safe_dump(content(n_runs)))
    began = time.monotonic()
    command = [sys.executable, "-c", _MADE, str(path), str(out), where]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    cpu_s, rss, workers = dict[int, float](), dict[int, int](), set[int]()
    own = psutil.Process(process.pid)
    while process.poll() is None:
        for child in own.children(recursive=True):
            try:
                with child.oneshot():
                    times = child.cpu_times()
                    cpu_s[child.pid] = times.user + times.system
                    # One that ends gives back its memory first.
                    rss[child.pid] = max(rss.get(child.pid, 0), child.memory_info().rss)
                    if where == "here" or "ray::" in " ".join(child.cmdline()):
                        workers.add(child.pid)
            except psutil.Error:
                continue
        time.sleep(_EVERY_S)
    assert process.stdout is not None
    driver_s, driver_mb = map(float, process.stdout.read().split()[-2:])
    assert process.returncode == 0
    found = defaultdict[str, float](float, {
        "n": n_runs, "wall_s": time.monotonic() - began, "driver_s": driver_s, "others_s": sum(cpu_s.values()),
        "driver_mb": driver_mb, "worker_mb": max((rss[pid] / 2**20 for pid in workers), default=0.0),
        "others_mb": sum(rss[pid] for pid in rss if pid not in workers) / 2**20,
        "n_files": sum(1 for path in out.rglob("*") if path.is_file()),
        "mb": sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 2**20,
    })  # fmt: skip
    return dict(found)


def main() -> None:
    places = [name for name in sys.argv[1:] if name in ("here", "ray", "empty")] or ["here", "ray"]
    numbers = [int(text) for text in sys.argv[1:] if text.isdigit()] or [10, 1000, 10_000]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run_s = of_a_run(folder)
        print(f"a run alone: {1e3 * run_s:.1f} ms of CPU", flush=True)
        for where in places:
            before: dict[str, float] | None = None
            for n_runs in numbers:
                one = measured(folder, where, n_runs)
                print(f"{where} {json.dumps({key: round(value, 2) for key, value in one.items()})}", flush=True)
                if before is not None:
                    n, total_s = one["n"] - before["n"], sum(one[k] - before[k] for k in ("driver_s", "others_s"))
                    driver_ms = 1e3 * (one["driver_s"] - before["driver_s"]) / n
                    beside_ms = 1e3 * (total_s / n - (0.0 if where == "empty" else run_s))
                    print(f"  each more: {driver_ms:.1f} ms of the driver, {beside_ms:.1f} ms of all beside the run")
                before = one


if __name__ == "__main__":
    main()
