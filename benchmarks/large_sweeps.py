"""Sweeps of thousands of runs while workers, nodes and drivers die: parts of ``python -m benchmarks.on_ray``."""

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from benchmarks.campaign.folders import asides, differences
from benchmarks.on_ray import KILL_EVERY_S, killing, write
from experiments.kept import RECEIPTS
from experiments.loading import load_all
from experiments.many import run_many
from experiments.results import places_below
from experiments.run import How

N_SEEDS, N_KILLS = int(os.environ.get("SWEEP_SEEDS", "10")), int(os.environ.get("SWEEP_KILLS", "20"))
ONE, DONE = os.environ.get("SWEEP_ONE"), ".done"
"""A folder that keeps what one process has made, for several parts."""
LONGEST_S = os.environ.get("SWEEP_LONGEST_S")
"""A driver is killed within so many seconds of its start, where a machine is busy and a minute is not enough."""
N_SHARDS = 8


def grid(n_seeds: int = N_SEEDS) -> dict[str, Any]:
    """2 traces x 10 capacities x 10 settings (the baseline and nine others) x seeds."""
    traces = [{"kind": "random", "accesses": 200, "n_keys": n_keys, "block": "4 KiB"} for n_keys in (50, 100)]
    return {
        "name": "grid",
        "seeds": list(range(n_seeds)),
        "workload": {"source": traces[0]},
        "system": {"preset": "h100-sxm-pcie5", "tiers": {"hbm": {"capacity": "1 MiB"}, "dram": {"capacity": "4 MiB"}}},
        "arms": ["none", "next_n(n=2)"],
        "output": {"prefetches": False, "inferences": False},
        "sweep": {
            "workload.source": traces,
            "system.tiers.hbm.capacity": [f"{32 * (i + 1)} KiB" for i in range(10)],
            "arms.next_n.policy.n": "1..9",
        },
    }


def made(path: Path, out: Path, cluster: str | None = None, jobs: int = 1) -> float:
    began = time.perf_counter()
    run_many(load_all(path), out, How(quiet=True, jobs=None if cluster else jobs, cluster=cluster), None, str(path))
    return time.perf_counter() - began


def same(found: Path, expected: Path) -> str:
    """Whether all experiments of a sweep have the same files, and no others."""
    names = [place.name for place in places_below(expected)]
    said = [f"{name}: {what}" for name in names for what in differences(found / name, expected / name)]
    strangers = {path.name for path in found.iterdir()} - set(names)
    left = [*asides(found), *strangers]
    n = len(list(found.glob("*/windows/*.parquet")))
    of = f"{n:,} runs of {len(names)} experiments"
    return f"{of}, {'as in one process, to the byte' if not said and not left else f'DIFFER: {said[:3]} {left[:3]}'}"


def alone(folder: Path, path: Path) -> tuple[Path, float]:
    """What one process makes of it and the time it takes, 0 where that is there already."""
    one = Path(ONE) if ONE else folder / "one"
    return one, 0.0 if (one / DONE).exists() else _made_alone(path, one)


def _made_alone(path: Path, one: Path) -> float:
    took_s = made(path, one)
    (one / DONE).touch()
    return took_s


def grid_on_ray(folder: Path) -> str:
    """2,000 runs on two workers and a second node, which is taken away; a worker is killed again and again."""
    path = write(folder, grid())
    one, alone_s = alone(folder, path)
    n_runs = len(list(one.glob("*/windows/*.parquet")))
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"}
    from ray.cluster_utils import Cluster as Nodes

    place = {"include_dashboard": False, "object_store_memory": 100 << 20}
    started = Nodes(initialize_head=True, head_node_args={"num_cpus": 2, **place})
    try:
        second = started.add_node(num_cpus=1, object_store_memory=100 << 20)
        is_over, is_gone = threading.Event(), threading.Event()

        def remove() -> None:
            """Once a tenth of all runs is there: to start may take a minute."""
            while not is_over.wait(1):
                if len(list((folder / "ray").glob("*/windows/*.parquet"))) >= n_runs // 10:
                    started.remove_node(second, allow_graceful=False)
                    is_gone.set()
                    return

        thread = threading.Thread(target=remove)
        thread.start()
        try:
            with killing(KILL_EVERY_S) as killed:
                took_s = made(path, folder / "ray", started.address)
        finally:
            is_over.set()
            thread.join()
    finally:
        started.shutdown()
    return (
        f"{same(folder / 'ray', one)}; {len(killed)} workers killed, the second node "
        f"{'was taken away' if is_gone.is_set() else 'stayed'}; {took_s:.0f} s, in one process {alone_s:.0f} s"
    )


def grid_by_shards(folder: Path) -> str:
    """2,000 runs by 8 shards that know nothing of each other, and put together."""
    path = write(folder, grid())
    one, alone_s = alone(folder, path)
    command = [sys.executable, "-m", "tierfetch"]
    began = time.perf_counter()
    waiting = [f"{number}/{N_SHARDS}" for number in range(N_SHARDS, 0, -1)]
    while waiting:
        two, waiting = waiting[:2], waiting[2:]
        run = [*command, "run", str(path), "--out", str(folder / "shards"), "--quiet", "--shard"]
        for process in [subprocess.Popen([*run, shard]) for shard in two]:
            assert process.wait() == 0
    made_s = time.perf_counter() - began
    merge = [*command, "merge", str(folder / "shards"), "--out", str(folder / "merged"), "--quiet"]
    subprocess.run(merge, check=True)
    return (
        f"{same(folder / 'merged', one)}; shards {made_s:.0f} s, two at a time, merge "
        f"{time.perf_counter() - began - made_s:.0f} s, in one process {alone_s:.0f} s"
    )


def _kills(folder: Path, options: list[str], longest_s: float) -> str:
    """The command is killed at any time and said again, until it is through; then anew, until it was killed enough."""
    path = write(folder, {**grid(2), "engine": "simpy"})
    made(path, folder / "one")
    draw, n_killed, said, n_rounds, n_there = random.Random(0), 0, list[str](), 0, list[int]()
    while n_killed < N_KILLS:
        out, n_rounds = folder / f"round-{n_rounds}", n_rounds + 1
        command = [sys.executable, "-m", "tierfetch", "run", str(path), "--out", str(out), "--quiet", *options]
        while True:
            process = subprocess.Popen(command, start_new_session=True)
            theirs = psutil.Process(process.pid)
            try:
                # The last times it is let through.
                process.wait(draw.uniform(0, longest_s) if n_killed < N_KILLS else None)
            except subprocess.TimeoutExpired:
                others = theirs.children(recursive=True)
                process.kill()
                process.wait()
                n_killed += 1
                n_there.append(len(list(out.glob("*/windows/*.parquet"))))
                psutil.wait_procs(others, timeout=5)
                continue
            assert process.returncode == 0
            break
        said.append(same(out, folder / "one"))
        assert not list(out.glob(f"*/{RECEIPTS}"))
    return (
        f"killed {n_killed} times, through {n_rounds} times: {'; '.join(dict.fromkeys(said))}; runs that were there "
        f"when it was killed: {n_there}"
    )


def kills_here(folder: Path) -> str:
    """The driver of two processes is killed at any time, and started again."""
    return _kills(folder, ["--jobs", "2"], float(LONGEST_S or 25))


def kills_ray(folder: Path) -> str:
    """The driver of a Ray on this machine is killed at any time, and started again."""
    return _kills(folder, ["--cluster", "ray", "--jobs", "2"], float(LONGEST_S or 60))


PARTS: dict[str, Callable[[Path], str]] = {
    "grid": grid_on_ray, "shards": grid_by_shards, "kills": kills_here, "kills_ray": kills_ray,
}  # fmt: skip
